/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/map.h"

static void adds_finds_and_removes(void **state)
{
	_cleanup_(sk_map_freep) struct sk_map *m = sk_map_new(free);
	char *v = strdup("1"), *again = strdup("2");

	assert_null(sk_map_get(m, "a"));
	assert_int_equal(sk_map_add(m, "a", v), 0);
	assert_int_equal(sk_map_add(m, "a", again), -EEXIST);
	assert_ptr_equal(sk_map_get(m, "a"), v);
	assert_ptr_equal(sk_map_take(m, "a"), v);
	assert_null(sk_map_take(m, "a"));
	assert_int_equal(sk_map_len(m), 0);
	assert_int_equal(sk_map_add(m, "b", again), 0);
	sk_map_del(m, "b");
	sk_map_del(m, "b");
	free(v);
}

/* Against a plain array: 20,000 adds and removes of 500 keys. */
static void behaves_like_a_list(void **state)
{
	_cleanup_(sk_map_freep) struct sk_map *m = sk_map_new(NULL);
	static char present[500];
	unsigned seed = 7;
	size_t len = 0;

	for (int i = 0; i < 20000; i++) {
		char key[16];
		unsigned k;

		seed = seed * 1103515245 + 12345;
		k = (seed >> 16) % 500;
		(void)snprintf(key, sizeof(key), "k%u", k);
		if (seed & 0x8000) {
			assert_int_equal(sk_map_add(m, key, &present[k]), present[k] ? -EEXIST : 0);
			len += !present[k];
			present[k] = 1;
		} else {
			assert_ptr_equal(sk_map_take(m, key), present[k] ? &present[k] : NULL);
			len -= present[k] ? 1 : 0;
			present[k] = 0;
		}
		assert_int_equal(sk_map_len(m), len);
	}
	for (unsigned k = 0; k < 500; k++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "k%u", k);
		assert_ptr_equal(sk_map_get(m, key), present[k] ? &present[k] : NULL);
	}
}

static void iterates_in_order_while_removing(void **state)
{
	_cleanup_(sk_map_freep) struct sk_map *m = sk_map_new(NULL);
	char seen[8] = "", values[] = "cab";
	const char *key;
	char *value;

	assert_int_equal(sk_map_add(m, "c", &values[0]), 0);
	assert_int_equal(sk_map_add(m, "a", &values[1]), 0);
	assert_int_equal(sk_map_add(m, "b", &values[2]), 0);
	SK_MAP_FOREACH (m, key, value) {
		strcat(seen, key);
		sk_map_del(m, key);
	}
	assert_string_equal(seen, "cab");
	assert_int_equal(sk_map_len(m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_finds_and_removes),
		cmocka_unit_test(behaves_like_a_list),
		cmocka_unit_test(iterates_in_order_while_removing),
	};

	return cmocka_run_group_tests_name("base/map", tests, NULL, NULL);
}
