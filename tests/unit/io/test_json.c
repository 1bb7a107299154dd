/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "io/json.h"

static json_t *parse(const char *text)
{
	json_t *v = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_json_parse(text, strlen(text), &v, &err), 0);
	return v;
}

static void refuse(const char *text, size_t len, const char *expect)
{
	json_t *v = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_json_parse(text, len, &v, &err), -EINVAL);
	assert_null(v);
	assert_string_equal(err.slug, "bad-request");
	assert_non_null(strstr(err.text, expect));
}

static void malformed(void **state)
{
	static const char nul[] = "{\"a\":\"b\\u0000c\"}";

	refuse("", 0, "line");
	refuse("{", 1, "line");
	refuse("{} x", 4, "end of file");
	refuse("{}{}", 4, "end of file");
	refuse("{\"a\":1,\"a\":2}", 13, "duplicate");
	refuse(nul, sizeof(nul) - 1, "NUL");
	refuse("\"\xff\xfe\"", 4, "decode");
	refuse("[1e999]", 7, "overflow");
	refuse("99999999999999999999", 20, "too big");
	refuse("{\"a\"\0:1}", 8, "line");
}

static void depth(void **state)
{
	char text[80];
	_cleanup_json_ json_t *ok = NULL, *strings = NULL;

	memset(text, '[', 40);
	memset(text + 40, ']', 40);
	refuse(text, 80, "nested");
	memset(text, '[', 32);
	memset(text + 32, ']', 32);
	assert_int_equal(sk_json_parse(text, 64, &ok, NULL), 0);
	strings = parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[\"]");
	/* A quote that is escaped does not end the string, nor does an escape before the end. */
	refuse("\"\\", 2, "line");
}

static void strings(void **state)
{
	_cleanup_json_ json_t *o = parse("{\"s\":\"web\",\"e\":\"\",\"n\":null,\"i\":1}");
	struct sk_err err = SK_ERR_INIT;
	const char *s = "before";

	assert_int_equal(sk_json_get_str(o, "s", &s, &err), 0);
	assert_string_equal(s, "web");
	assert_int_equal(sk_json_get_str(o, "n", &s, &err), 0);
	assert_null(s);
	assert_int_equal(sk_json_get_str(o, "absent", &s, &err), 0);
	assert_null(s);
	assert_int_equal(sk_json_get_str(o, "i", &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"i\""));

	assert_int_equal(sk_json_need_str(o, "s", 3, &s, &err), 0);
	assert_int_equal(sk_json_need_str(o, "s", 2, &s, &err), -EINVAL);
	assert_int_equal(sk_json_need_str(o, "e", 9, &s, &err), -EINVAL);
	assert_int_equal(sk_json_need_str(o, "n", 9, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "missing"));
	/* Not an object at all: absent, never a crash. */
	assert_int_equal(sk_json_need_str(NULL, "s", 9, &s, &err), -EINVAL);
}

static void scalars(void **state)
{
	_cleanup_json_ json_t *o =
		parse("{\"t\":true,\"n\":7,\"neg\":-1,\"r\":1.0,\"max\":9223372036854775807}");
	struct sk_err err = SK_ERR_INIT;
	uint64_t n = 42;
	bool b = false;

	assert_int_equal(sk_json_get_bool(o, "t", &b, &err), 0);
	assert_true(b);
	assert_int_equal(sk_json_get_bool(o, "n", &b, &err), -EINVAL);
	assert_int_equal(sk_json_get_u64(o, "absent", &n, &err), 0);
	assert_int_equal(n, 42);
	assert_int_equal(sk_json_get_u64(o, "n", &n, &err), 0);
	assert_int_equal(n, 7);
	assert_int_equal(sk_json_get_u64(o, "max", &n, &err), 0);
	assert_true(n == INT64_MAX);
	assert_int_equal(sk_json_get_u64(o, "neg", &n, &err), -EINVAL);
	assert_int_equal(sk_json_get_u64(o, "r", &n, &err), -EINVAL);
}

static void lists(void **state)
{
	_cleanup_json_ json_t *o =
		parse("{\"v\":[\"a\",\"b\"],\"m\":[\"a\",1],\"e\":[],\"s\":\"a\"}");
	_cleanup_json_ json_t *back = NULL;
	struct sk_err err = SK_ERR_INIT;
	_cleanup_strv_ char **v = NULL;
	char **none = NULL;

	assert_int_equal(sk_json_get_strv(o, "v", 2, &v, &err), 0);
	assert_int_equal(sk_strv_len(v), 2);
	assert_string_equal(v[1], "b");
	assert_int_equal(sk_json_get_strv(o, "v", 1, &none, &err), -EINVAL);
	assert_int_equal(sk_json_get_strv(o, "m", 9, &none, &err), -EINVAL);
	assert_int_equal(sk_json_get_strv(o, "s", 9, &none, &err), -EINVAL);
	assert_int_equal(sk_json_get_strv(o, "e", 9, &none, &err), 0);
	assert_null(none);
	assert_int_equal(sk_json_get_strv(o, "absent", 9, &none, &err), 0);
	back = sk_json_strv(v);
	assert_true(json_equal(back, json_object_get(o, "v")));
}

static void long_element(void **state)
{
	_cleanup_json_ json_t *o = json_object();
	char text[4098];
	char **v = NULL;

	memset(text, 'x', sizeof(text));
	text[4097] = '\0';
	json_object_set_new(o, "v", json_pack("[s]", text));
	assert_int_equal(sk_json_get_strv(o, "v", 9, &v, NULL), -EINVAL);
	text[4096] = '\0';
	json_object_set_new(o, "v", json_pack("[s]", text));
	assert_int_equal(sk_json_get_strv(o, "v", 9, &v, NULL), 0);
	sk_strv_free(v);
}

static void digests(void **state)
{
	_cleanup_json_ json_t *o = json_object();
	struct sk_digest d;
	char hex[SK_DIGEST_HEX + 1];

	memset(hex, 'a', SK_DIGEST_HEX);
	hex[SK_DIGEST_HEX] = '\0';
	json_object_set_new(o, "d", json_string(hex));
	json_object_set_new(o, "short", json_string(hex + 1));
	assert_int_equal(sk_json_need_digest(o, "d", &d, NULL), 0);
	assert_int_equal(d.bytes[31], 0xaa);
	assert_int_equal(sk_json_need_digest(o, "short", &d, NULL), -EINVAL);
	assert_int_equal(sk_json_need_digest(o, "absent", &d, NULL), -EINVAL);
}

static void only(void **state)
{
	static const char *const known[] = { "a", "b", NULL };
	_cleanup_json_ json_t *good = parse("{\"b\":1}"), *worse = parse("{\"a\":1,\"c\":2}"),
			      *list = parse("[]");
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_json_only(good, known, &err), 0);
	assert_int_equal(sk_json_only(worse, known, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"c\""));
	assert_int_equal(sk_json_only(list, known, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed), cmocka_unit_test(depth),
		cmocka_unit_test(strings),   cmocka_unit_test(scalars),
		cmocka_unit_test(lists),     cmocka_unit_test(long_element),
		cmocka_unit_test(digests),   cmocka_unit_test(only),
	};

	return cmocka_run_group_tests_name("io/json", tests, NULL, NULL);
}
