/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "io/http/route.h"

static int nothing(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return 0;
}

static const struct sk_http_route table_a[] = {
	{ "GET", "/", nothing, 0, NULL, 1 },
	{ "GET", "/containers/{id}", nothing, 0, NULL, 2 },
	{ "GET", "/containers/json", nothing, 0, NULL, 3 },
	{ "POST", "/containers/{id}/start", nothing, 0, NULL, 4 },
	{ "GET", "/images/{name*}/json", nothing, 0, NULL, 5 },
	{ "DELETE", "/images/{name*}", nothing, 0, NULL, 6 },
	{ NULL },
};
static const struct sk_http_route table_b[] = {
	{ "GET", "/images/json", nothing, 0, NULL, 7 },
	{ "PUT", "/x/{a}/{b}", nothing, 0, NULL, 8 },
	{ "PUT", "/x/{a}/y", nothing, 0, NULL, 9 },
	{ NULL },
};
static const struct sk_http_route *const tables[] = { table_a, table_b };

struct found {
	int r;
	unsigned flags;
	char param[2][64];
	char allow[64];
	struct sk_route_params params;
	char path[256];
};

static struct found find(const char *method, const char *path)
{
	_cleanup_(sk_router_freep) struct sk_router *router = NULL;
	const struct sk_http_route *route = NULL;
	struct found f = { 0 };

	assert_int_equal(sk_router_new(tables, 2, &router, NULL), 0);
	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	f.r = sk_router_find(router, method, f.path, &f.params, &route, f.allow);
	f.flags = route ? route->flags : 0;
	for (size_t i = 0; i < f.params.n && i < 2; i++)
		(void)snprintf(f.param[i], sizeof(f.param[i]), "%s", f.params.v[i].value);
	return f;
}

static void matching(void **state)
{
	assert_int_equal(find("GET", "/").flags, 1);
	assert_int_equal(find("HEAD", "/").flags, 1);
	assert_int_equal(find("GET", "/containers/abc").flags, 2);
	assert_string_equal(find("GET", "/containers/abc").param[0], "abc");
	assert_int_equal(find("GET", "/containers/json").flags, 3);
	assert_int_equal(find("POST", "/containers/json/start").flags, 4);
	assert_string_equal(find("POST", "/containers/json/start").param[0], "json");
	assert_string_equal(find("PUT", "/x/1/2").param[1], "2");
	assert_int_equal(find("PUT", "/x/1/y").flags, 9);
}

static void rest_of_path(void **state)
{
	assert_int_equal(find("GET", "/images/a/b/c:1/json").flags, 5);
	assert_string_equal(find("GET", "/images/a/b/c:1/json").param[0], "a/b/c:1");
	assert_string_equal(find("GET", "/images/nginx/json").param[0], "nginx");
	assert_int_equal(find("GET", "/images/json").flags, 7);
	assert_string_equal(find("DELETE", "/images/a/b").param[0], "a/b");
	assert_string_equal(find("DELETE", "/images/json").param[0], "json");
	assert_int_equal(find("DELETE", "/images/").r, -ENOENT);
	assert_int_equal(find("DELETE", "/images").r, -ENOENT);
}

static void misses(void **state)
{
	assert_int_equal(find("GET", "/nowhere").r, -ENOENT);
	assert_int_equal(find("GET", "").r, -ENOENT);
	assert_int_equal(find("GET", "*").r, -ENOENT);
	assert_int_equal(find("GET", "//").r, -ENOENT);
	assert_int_equal(find("GET", "/containers/").r, -ENOENT);
	assert_int_equal(find("GET", "/containers//start").r, -ENOENT);
	assert_int_equal(find("GET", "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a").r,
			 -ENOENT);
	assert_int_equal(find("PUT", "/containers/json").r, -EOPNOTSUPP);
	assert_string_equal(find("PUT", "/containers/json").allow, "GET, HEAD");
	assert_string_equal(find("POST", "/images/json").allow, "GET, HEAD, DELETE");
}

static void bad_tables(void **state)
{
	static const char *const patterns[] = { "x",	      "/{",
						"/{}",	      "/a{b}",
						"/{a*}/{b*}", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}" };

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		const struct sk_http_route rows[] = { { "GET", patterns[i], nothing }, { NULL } };
		const struct sk_http_route *const one[] = { rows };
		struct sk_router *router = NULL;

		assert_int_equal(sk_router_new(one, 1, &router, NULL), -EINVAL);
		assert_null(router);
	}
}

static int decode(const char *s, bool plus, const char *expect)
{
	char buf[128];
	size_t len;
	int r;

	(void)snprintf(buf, sizeof(buf), "%s", s);
	r = sk_url_decode(buf, strlen(buf), plus, &len);
	if (expect) {
		assert_string_equal(buf, expect);
		assert_int_equal(len, strlen(expect));
	}
	return r;
}

static void decoding(void **state)
{
	assert_int_equal(decode("/a%2Fb%20c", false, "/a/b c"), 0);
	assert_int_equal(decode("a+b", true, "a b"), 0);
	assert_int_equal(decode("a+b", false, "a+b"), 0);
	assert_int_equal(decode("%c3%a4", false, "\xc3\xa4"), 0);
	assert_int_equal(decode("%", false, NULL), -EINVAL);
	assert_int_equal(decode("%2", false, NULL), -EINVAL);
	assert_int_equal(decode("%2g", false, NULL), -EINVAL);
	assert_int_equal(decode("%g2", false, NULL), -EINVAL);
	assert_int_equal(decode("a%00b", false, NULL), -EINVAL);
	assert_int_equal(decode("%ff", false, NULL), -EINVAL);
	assert_int_equal(decode("%c0%af", false, NULL), -EINVAL);	/* overlong '/' */
	assert_int_equal(decode("%ed%a0%80", false, NULL), -EINVAL);	/* surrogate */
	assert_int_equal(decode("%f4%90%80%80", false, NULL), -EINVAL); /* over U+10FFFF */
	assert_int_equal(decode("%e2%82", false, NULL), -EINVAL);	/* cut short */
	assert_int_equal(decode("%f0%9f%98%80", false, "\xf0\x9f\x98\x80"), 0);
}

static void paths(void **state)
{
	char longest[4200];

	assert_true(sk_url_path_ok("/"));
	assert_true(sk_url_path_ok("/a/b.c/..d/e.."));
	assert_false(sk_url_path_ok("/a/../b"));
	assert_false(sk_url_path_ok("/.."));
	assert_false(sk_url_path_ok("/./a"));
	assert_false(sk_url_path_ok("a"));
	assert_false(sk_url_path_ok(""));
	assert_false(sk_url_path_ok("/a\nb"));
	assert_false(sk_url_path_ok("/a\x7f"));
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[4096] = '\0';
	assert_true(sk_url_path_ok(longest));
	longest[4096] = 'a';
	longest[4097] = '\0';
	assert_false(sk_url_path_ok(longest));
}

/* Each row knows its table, wherever precedence has put it. */
static void tables_of_rows(void **state)
{
	_cleanup_(sk_router_freep) struct sk_router *router = NULL;

	assert_int_equal(sk_router_new(tables, 2, &router, NULL), 0);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (const struct sk_http_route *row = tables[t]; row->method; row++)
			assert_int_equal(sk_router_table_of(router, row), t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matching),	  cmocka_unit_test(rest_of_path),
		cmocka_unit_test(misses),	  cmocka_unit_test(bad_tables),
		cmocka_unit_test(decoding),	  cmocka_unit_test(paths),
		cmocka_unit_test(tables_of_rows),
	};

	return cmocka_run_group_tests_name("io/http_route", tests, NULL, NULL);
}
