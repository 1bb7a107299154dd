/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/str.h"
#include "hub/tls.h"
#include "temp.h"

static struct sk_err err;

static int load(struct temp *t, const char *names, struct sk_hub_tls *ret)
{
	*ret = (struct sk_hub_tls){ 0 };
	return sk_hub_tls_load(t->dir, "", "", names, ret, &err);
}

static void makes_once_and_again_for_other_names(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_hub_tls a, b, c;
	char *ca_before = NULL, *ca_after = NULL;
	size_t len;

	temp_make(&t);
	assert_int_equal(load(&t, "hub.example 192.0.2.1", &a), 0);
	assert_int_equal(sk_file_read(AT_FDCWD, a.ca_file, 10000, &ca_before, &len), 0);
	assert_int_equal(load(&t, "hub.example 192.0.2.1", &b), 0);
	assert_string_equal(a.cert_pem, b.cert_pem);
	assert_int_equal(load(&t, "other.example", &c), 0);
	assert_string_not_equal(a.cert_pem, c.cert_pem);
	assert_int_equal(sk_file_read(AT_FDCWD, a.ca_file, 10000, &ca_after, &len), 0);
	assert_string_equal(ca_before, ca_after);
	sk_hub_tls_done(&a);
	sk_hub_tls_done(&b);
	sk_hub_tls_done(&c);
	free(ca_before);
	free(ca_after);
}

static void replaces_a_torn_pair(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_hub_tls a, b;

	temp_make(&t);
	assert_int_equal(load(&t, "x", &a), 0);
	assert_int_equal(sk_file_write(AT_FDCWD, temp_path(&t, "tls/key.pem"), "torn", 4, 0600), 0);
	assert_int_equal(load(&t, "x", &b), 0);
	assert_string_not_equal(a.key_pem, b.key_pem);
	sk_hub_tls_done(&a);
	sk_hub_tls_done(&b);
}

static void refuses(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_hub_tls a = { 0 };

	temp_make(&t);
	assert_true(load(&t, "a,DNS:evil", &a) < 0);
	assert_true(load(&t, "a\nb", &a) < 0);
	assert_true(load(&t, " ", &a) < 0);
	assert_true(sk_hub_tls_load(t.dir, "/cert", "", "", &a, &err) < 0);
	assert_true(sk_hub_tls_load(t.dir, "/nonexistent", "/nonexistent", "", &a, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_once_and_again_for_other_names),
		cmocka_unit_test(replaces_a_torn_pair),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests_name("hub/tls", tests, NULL, NULL);
}
