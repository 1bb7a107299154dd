/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "engine/docker/names.h"

static void normal_form(void **state)
{
	static const char *const good[][2] = {
		{ "nginx", "nginx:latest" },
		{ "nginx:1.25", "nginx:1.25" },
		{ "docker.io/library/nginx", "nginx:latest" },
		{ "docker.io/acme/web:A_1", "acme/web:A_1" },
		{ "registry.example:5000/a/b", "registry.example:5000/a/b:latest" },
	};
	static const char *const bad[] = { "",	   "A",	   "a b",   "a:",	  ":a",	 "/a", "a/",
					   "a//b", "../a", "a:b:c", "a@sha256:1", "a\n", "-a" };
	char buf[SK_IMAGE_NAME_MAX + 1], long_name[SK_IMAGE_NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(sk_names_normal(good[i][0], buf, NULL), 0);
		assert_string_equal(buf, good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(sk_names_normal(bad[i], buf, NULL), -EINVAL);
	memset(long_name, 'a', sizeof(long_name));
	long_name[SK_IMAGE_NAME_MAX + 1] = '\0';
	assert_int_equal(sk_names_normal(long_name, buf, NULL), -EINVAL);
}

/* The record is damaged: the daemon starts without the names, and every image may have had one. */
static void damaged_record(void **state)
{
	static const char *const rubbish[] = { "", "{", "[]", "{\"a:1\": 7}", "{\"a:1\": \"zz\"}" };
	char dir[] = "/tmp/skerry-names-XXXXXX";
	struct sk_digest a = { { 1 } }, got;
	struct sk_store *store = NULL;
	struct sk_names *n = NULL;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(sk_store_open(dir, &store, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++) {
		assert_int_equal(sk_store_put_record(store, "image-names", rubbish[i],
						     strlen(rubbish[i]), NULL),
				 0);
		assert_int_equal(sk_names_open(store, &n, NULL), 0);
		assert_true(sk_names_has(n, &a));
		assert_int_equal(sk_names_get(n, "a:1", &got), -ENOENT);
		assert_int_equal(sk_names_set(n, "x:1", &a, NULL), 0);
		sk_names_free(n);
		assert_int_equal(sk_names_open(store, &n, NULL), 0);
		assert_int_equal(sk_names_get(n, "x:1", &got), 0);
		assert_int_equal(sk_names_del(n, "x:1", NULL), 0);
		assert_false(sk_names_has(n, &a));
		sk_names_free(n);
	}
	sk_store_close(store);
	assert_int_equal(sk_rm_rf(AT_FDCWD, dir), 0);
}

static void kept(void **state)
{
	char dir[] = "/tmp/skerry-names-XXXXXX";
	struct sk_digest a = { { 1 } }, b = { { 2 } }, got;
	struct sk_store *store = NULL;
	struct sk_names *n = NULL;
	const char *name;
	size_t pos = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(sk_store_open(dir, &store, NULL), 0);
	assert_int_equal(sk_names_open(store, &n, NULL), 0);
	assert_int_equal(sk_names_set(n, "x:1", &a, NULL), 0);
	assert_int_equal(sk_names_set(n, "x:2", &a, NULL), 0);
	assert_int_equal(sk_names_set(n, "x:1", &b, NULL), 0);
	sk_names_free(n);

	assert_int_equal(sk_names_open(store, &n, NULL), 0);
	assert_int_equal(sk_names_get(n, "x:1", &got), 0);
	assert_true(sk_digest_equal(&got, &b));
	assert_true(sk_names_has(n, &a));
	assert_int_equal(sk_names_del(n, "x:2", NULL), 0);
	assert_false(sk_names_has(n, &a));
	assert_int_equal(sk_names_get(n, "x:2", &got), -ENOENT);
	assert_int_equal(sk_names_del(n, "x:2", NULL), 0);
	assert_true(sk_names_next(n, &pos, &name, &got));
	assert_string_equal(name, "x:1");
	assert_false(sk_names_next(n, &pos, &name, &got));
	sk_names_free(n);
	sk_store_close(store);
	(void)sk_rm_rf(AT_FDCWD, dir);
}

static void bounded(void **state)
{
	char dir[] = "/tmp/skerry-names-XXXXXX", name[32];
	struct sk_digest a = { { 1 } };
	struct sk_store *store = NULL;
	struct sk_err err = SK_ERR_INIT;
	struct sk_names *n = NULL;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(sk_store_open(dir, &store, NULL), 0);
	assert_int_equal(sk_names_open(store, &n, NULL), 0);
	for (int i = 0; i < SK_NAMES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "x:%d", i);
		assert_int_equal(sk_names_set(n, name, &a, NULL), 0);
	}
	assert_int_equal(sk_names_set(n, "y:1", &a, &err), -E2BIG);
	assert_string_equal(err.slug, "too-many");
	assert_int_equal(sk_names_set(n, "x:1", &a, NULL), 0);
	sk_names_free(n);
	sk_store_close(store);
	(void)sk_rm_rf(AT_FDCWD, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(normal_form),
		cmocka_unit_test(damaged_record),
		cmocka_unit_test(kept),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests_name("engine/docker/names", tests, NULL, NULL);
}
