/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "io/crypto/pkcs11.h"

/* What a URI names; the tokens themselves are in tests/integ. */

static void attribute_is(const char *uri, const char *name, const char *want)
{
	char buf[64] = "untouched";
	bool there = sk_pkcs11_attribute(uri, name, buf, sizeof(buf));

	assert_int_equal(there, want != NULL);
	assert_string_equal(buf, want ? want : "untouched");
}

static void attributes(void **state)
{
	attribute_is("pkcs11:token=a;object=b?pin-value=1234", "pin-value", "1234");
	attribute_is("pkcs11:token=a;object=b?pin-value=1234", "object", "b");
	attribute_is("pkcs11:token=a;object=b?pin-value=1234", "pin-source", NULL);
	attribute_is("pkcs11:object=b?x=y&module-path=/usr/lib/p11.so", "module-path",
		     "/usr/lib/p11.so");
	attribute_is("pkcs11:token=a%20b%3B;x=%zz%", "token", "a b;");
	attribute_is("pkcs11:token=a%20b%3B;x=%zz%", "x", "%zz%");
	/* Not in the middle of another word, and not in another's value. */
	attribute_is("pkcs11:my-token=a", "token", NULL);
	attribute_is("pkcs11:token=pin-value=1", "pin-value", NULL);
	attribute_is("pkcs11:token=", "token", "");
	attribute_is("pkcs11:", "token", NULL);
	attribute_is("", "token", NULL);
	attribute_is("token=a", "token", NULL);
}

/* Longer than the place for it: cut, never written behind it. */
static void long_values(void **state)
{
	char buf[5] = "....";

	assert_true(sk_pkcs11_attribute("pkcs11:token=abcdefgh;x=1", "token", buf, 4));
	assert_string_equal(buf, "abc");
	assert_int_equal(buf[4], '\0');
	assert_true(sk_pkcs11_attribute("pkcs11:token=%41%42%43%44", "token", buf, 3));
	assert_string_equal(buf, "AB");
}

static void without_is(const char *uri, const char *name, const char *want)
{
	_cleanup_free_ char *got = sk_pkcs11_without(uri, name);

	assert_string_equal(got, want);
}

static void without(void **state)
{
	without_is("pkcs11:object=a?module-path=/x.so", "module-path", "pkcs11:object=a");
	without_is("pkcs11:object=a?module-path=/x.so&pin-value=1", "module-path",
		   "pkcs11:object=a?pin-value=1");
	without_is("pkcs11:object=a?module-path=/x.so&pin-value=1", "pin-value",
		   "pkcs11:object=a?module-path=/x.so");
	without_is("pkcs11:module-path=/x.so;object=a", "module-path", "pkcs11:object=a");
	without_is("pkcs11:object=a;pin-value=1?module-path=/x.so", "pin-value",
		   "pkcs11:object=a?module-path=/x.so");
	without_is("pkcs11:pin-value=1?module-path=/x.so", "pin-value",
		   "pkcs11:?module-path=/x.so");
	without_is("pkcs11:object=a", "module-path", "pkcs11:object=a");
	without_is("pkcs11:object=my-module-path=/x", "module-path",
		   "pkcs11:object=my-module-path=/x");
	without_is("pkcs11:object=a;my-module-path=/x?module-path=/y", "module-path",
		   "pkcs11:object=a;my-module-path=/x");
	without_is("", "module-path", "");
}

static void fails(const char *uri)
{
	struct sk_key key = { 0 };
	struct sk_err err = SK_ERR_INIT;

	assert_true(sk_pkcs11_load(uri, NULL, &key, &err) < 0);
	assert_null(key.pkey);
	assert_true(err.slug[0] && err.text[0]);
	assert_null(key.token);
}

/* No such module, or none that is one: an error with a name, and nothing left behind. */
static void no_token(void **state)
{
	fails("pkcs11:object=a?module-path=/nonexistent.so");
#ifndef __SANITIZE_ADDRESS__ /* ends a program that loads as the provider does (RTLD_DEEPBIND) */
	fails("pkcs11:object=a?module-path=/etc/passwd");
	fails("pkcs11:object=a?module-path=/etc/passwd&pin-value=1234");
#endif
	sk_pkcs11_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes),
		cmocka_unit_test(long_values),
		cmocka_unit_test(without),
		cmocka_unit_test(no_token),
	};

	return cmocka_run_group_tests_name("io/pkcs11", tests, NULL, NULL);
}
