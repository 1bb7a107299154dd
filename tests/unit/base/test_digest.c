/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/digest.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void known_answer(void **state)
{
	struct sk_digest d;

	assert_int_equal(sk_digest_of("abc", 3, &d), 0);
	assert_string_equal(SK_DIGEST_STR(&d), ABC);
}

static void parts_give_the_same(void **state)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	struct sk_digest whole, parts;

	assert_int_equal(sk_digest_of("abc", 3, &whole), 0);
	for (int round = 0; round < 2; round++) { /* the hasher starts anew */
		assert_int_equal(sk_hasher_add(h, "a", 1), 0);
		assert_int_equal(sk_hasher_add(h, "", 0), 0);
		assert_int_equal(sk_hasher_add(h, "bc", 2), 0);
		assert_int_equal(sk_hasher_end(h, &parts), 0);
		assert_true(sk_digest_equal(&whole, &parts));
	}
}

static void parses_only_its_own_form(void **state)
{
	struct sk_digest d;

	assert_int_equal(sk_digest_parse(ABC, &d), 0);
	assert_int_equal(sk_digest_parse("sha256:" ABC, &d), 0);
	assert_int_equal(sk_digest_parse("sha512:" ABC, &d), -EINVAL);
	assert_int_equal(sk_digest_parse(ABC "0", &d), -EINVAL);
	assert_int_equal(sk_digest_parse("", &d), -EINVAL);
	assert_int_equal(sk_digest_parse("BA7816bf", &d), -EINVAL);
	assert_int_equal(sk_digest_parse("../../etc/passwd", &d), -EINVAL);
}

static void of_a_file(void **state)
{
	FILE *f = tmpfile();
	struct sk_digest d;

	assert_non_null(f);
	assert_int_equal(fwrite("xxabcyy", 1, 7, f), 7);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(sk_digest_of_fd(fileno(f), 2, 3, &d), 0);
	assert_string_equal(SK_DIGEST_STR(&d), ABC);
	assert_int_equal(sk_digest_of_fd(fileno(f), 2, 6, &d), -ENODATA);
	assert_int_equal(sk_digest_of_fd(fileno(f), 0, UINT64_MAX, &d), 0);
	assert_int_equal(sk_digest_of_fd(-1, 0, 1, &d), -EBADF);
	(void)fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answer),
		cmocka_unit_test(parts_give_the_same),
		cmocka_unit_test(parses_only_its_own_form),
		cmocka_unit_test(of_a_file),
	};

	return cmocka_run_group_tests_name("base/digest", tests, NULL, NULL);
}
