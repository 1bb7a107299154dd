/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdbool.h>

#include "base/macros.h"
#include "io/crypto/der.h"

#define CHECK(want, ...)                                                                     \
	do {                                                                                 \
		static const uint8_t bytes[] = { __VA_ARGS__ };                              \
		assert_int_equal(sk_der_check(bytes, sizeof(bytes)), (want) ? 0 : -EBADMSG); \
	} while (0)

static void good(void **state)
{
	CHECK(true, 0x05, 0x00);
	CHECK(true, 0x30, 0x00);
	CHECK(true, 0x30, 0x05, 0x02, 0x01, 0x01, 0x31, 0x00);
	CHECK(true, 0xa0, 0x02, 0x05, 0x00);
	CHECK(true, 0x80, 0x01, 0xff);
}

static void bad(void **state)
{
	assert_int_equal(sk_der_check("", 0), -EBADMSG);
	CHECK(false, 0x30);
	CHECK(false, 0x30, 0x01);
	CHECK(false, 0x30, 0x80, 0x00, 0x00);			/* indefinite */
	CHECK(false, 0x04, 0x81, 0x01, 0x00);			/* not the shortest length */
	CHECK(false, 0x04, 0x82, 0x00, 0x80);			/* leading zero */
	CHECK(false, 0x04, 0x85, 0x01, 0x00, 0x00, 0x00, 0x00); /* over four bytes */
	CHECK(false, 0x04, 0x84, 0xff, 0xff, 0xff, 0xff);	/* 4 GiB claimed */
	CHECK(false, 0x04, 0xff);
	CHECK(false, 0x05, 0x00, 0x00);		    /* behind the end */
	CHECK(false, 0x05, 0x00, 0x05, 0x00);	    /* two */
	CHECK(false, 0x24, 0x03, 0x04, 0x01, 0x78); /* string in pieces */
	CHECK(false, 0x10, 0x00);		    /* primitive sequence */
	CHECK(false, 0x1f, 0x81, 0x00, 0x00);	    /* high tag number */
	CHECK(false, 0x00, 0x00);		    /* end of contents */
	CHECK(false, 0x30, 0x03, 0x04, 0x02, 0x00); /* inner reaches out */
}

/* Nested as deep as it goes: ends, and without recursion. */
static void deep(void **state)
{
	uint8_t nest[128];

	for (size_t depth = 1; depth <= sizeof(nest) / 2; depth++) {
		for (size_t i = 0; i < depth; i++) {
			nest[2 * i] = 0x30;
			nest[2 * i + 1] = (uint8_t)(2 * (depth - i - 1));
		}
		assert_int_equal(sk_der_check(nest, 2 * depth), depth <= 32 ? 0 : -EBADMSG);
	}
}

static void walking(void **state)
{
	static const uint8_t bytes[] = { 0x02, 0x01, 0x07, 0x05, 0x00 };
	struct sk_der in = { bytes, sizeof(bytes) }, body;
	uint8_t tag;

	assert_int_equal(sk_der_expect(&in, SK_DER_SEQUENCE, &body), -EBADMSG);
	assert_int_equal(in.len, sizeof(bytes)); /* nothing was taken */
	assert_int_equal(sk_der_expect(&in, SK_DER_INTEGER, &body), 0);
	assert_int_equal(body.len, 1);
	assert_int_equal(*body.at, 7);
	assert_int_equal(sk_der_next(&in, &tag, &body), 0);
	assert_int_equal(tag, 0x05);
	assert_int_equal(sk_der_next(&in, &tag, &body), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(deep),
		cmocka_unit_test(walking),
	};

	return cmocka_run_group_tests_name("io/der", tests, NULL, NULL);
}
