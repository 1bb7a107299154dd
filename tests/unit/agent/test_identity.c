/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/identity.h"
#include "base/file.h"

static char dir[64], key[96];
static struct sk_err err;

static int set_up(void **state)
{
	strcpy(dir, "/tmp/skerry-agent-id-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(key, sizeof(key), "%s/device.key", dir);
	return 0;
}

static int tear_down(void **state)
{
	return sk_rm_rf(AT_FDCWD, dir);
}

static void made_once_and_private(void **state)
{
	_cleanup_(sk_identity_freep) struct sk_identity *a = NULL, *b = NULL;
	struct stat st;

	assert_int_equal(sk_identity_open(dir, &a, &err), 0);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(strlen(sk_identity_id(a)), 64);
	assert_int_equal(sk_identity_open(dir, &b, &err), 0);
	assert_string_equal(sk_identity_id(a), sk_identity_id(b));
}

static void signs(void **state)
{
	_cleanup_(sk_identity_freep) struct sk_identity *id = NULL;
	char *one, *two;

	assert_int_equal(sk_identity_open(dir, &id, &err), 0);
	one = sk_identity_sign(id, "skerry-enrol", "c");
	two = sk_identity_sign(id, "skerry-session", "c");
	assert_non_null(one);
	assert_non_null(two);
	assert_string_not_equal(one, two);
	free(one);
	free(two);
}

/* A damaged key is said to be damaged; it is not replaced: the device would be another one. */
static void damaged(void **state)
{
	static const char *const bad[] = { "", "x", "-----BEGIN PRIVATE KEY-----\nMEECAQAwEwYH\n" };
	struct sk_identity *id = NULL;
	_cleanup_free_ char *back = NULL;
	size_t len;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(sk_file_write(AT_FDCWD, key, bad[i], strlen(bad[i]), 0600), 0);
		assert_true(sk_identity_open(dir, &id, &err) < 0);
		assert_string_equal(err.slug, "damaged");
	}
	assert_int_equal(sk_file_read(AT_FDCWD, key, 100, &back, &len), 0);
	assert_string_equal(back, bad[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_once_and_private),
		cmocka_unit_test(signs),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
