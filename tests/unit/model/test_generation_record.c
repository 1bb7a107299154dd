/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/generation.h"

static struct sk_generation sample(void)
{
	struct sk_generation g = {
		.number = 7,
		.state = SK_GEN_BAD,
		.boots = 3,
		.boots_max = 3,
		.changed_s = 1795329292,
		.project = "harbour",
		.version = "1.4.0-rc.2",
		.reason = "web: exit status 1",
	};

	memset(g.release.bytes, 0xab, sizeof(g.release.bytes));
	return g;
}

static void assert_same(const struct sk_generation *a, const struct sk_generation *b)
{
	assert_int_equal(a->number, b->number);
	assert_true(sk_digest_equal(&a->release, &b->release));
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->ephemeral, b->ephemeral);
	assert_int_equal(a->boots, b->boots);
	assert_int_equal(a->boots_max, b->boots_max);
	assert_int_equal(a->changed_s, b->changed_s);
	assert_string_equal(a->project, b->project);
	assert_string_equal(a->version, b->version);
	assert_string_equal(a->reason, b->reason);
}

static void round_trip(const struct sk_generation *g)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SK_GEN_RECORD_MAX);
	struct sk_generation back;

	assert_int_equal(sk_gen_encode(g, &b), 0);
	assert_int_equal(sk_gen_decode(b.data, b.len, &back), 0);
	assert_same(g, &back);
}

static void comes_back(void **state)
{
	struct sk_generation g = sample();

	round_trip(&g);
	g.ephemeral = true;
	g.number = UINT64_MAX;
	g.boots = g.boots_max = UINT32_MAX;
	g.changed_s = INT64_MAX;
	round_trip(&g);
	g.changed_s = -1;
	g.project[0] = g.version[0] = g.reason[0] = '\0';
	round_trip(&g);
	memset(g.project, 'p', sizeof(g.project) - 1);
	memset(g.version, 'v', sizeof(g.version) - 1);
	memset(g.reason, 'r', sizeof(g.reason) - 1);
	g.project[sizeof(g.project) - 1] = '\0';
	g.version[sizeof(g.version) - 1] = '\0';
	g.reason[sizeof(g.reason) - 1] = '\0';
	round_trip(&g);
	for (unsigned s = 0; s < SK_GEN_STATES; s++) {
		g.state = (enum sk_gen_state)s;
		round_trip(&g);
	}
}

/* Every single flipped bit and every truncation is noticed. */
static void damage_is_noticed(void **state)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SK_GEN_RECORD_MAX);
	struct sk_generation g = sample(), back = { .number = 42 };

	assert_int_equal(sk_gen_encode(&g, &b), 0);
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << (i % 8)));
		assert_int_equal(sk_gen_decode(b.data, b.len, &back), -EBADMSG);
		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << (i % 8)));
	}
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(sk_gen_decode(b.data, len, &back), -EBADMSG);
	assert_int_equal(back.number, 42);
	assert_int_equal(sk_buf_adds(&b, "x"), 0);
	assert_int_equal(sk_gen_decode(b.data, b.len, &back), -EBADMSG);
}

static int decode_with(const char *find, const char *put)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SK_GEN_RECORD_MAX), c = SK_BUF(16384);
	struct sk_generation g = sample();
	const char *at, *sum;
	struct sk_digest d;

	assert_int_equal(sk_gen_encode(&g, &b), 0);
	at = strstr(b.data, find);
	sum = strstr(b.data, "sha256 ");
	assert_non_null(at);
	assert_int_equal(sk_buf_add(&c, b.data, (size_t)(at - b.data)), 0);
	assert_int_equal(sk_buf_adds(&c, put), 0);
	at += strlen(find);
	assert_int_equal(sk_buf_add(&c, at, (size_t)(sum - at)), 0);
	assert_int_equal(sk_digest_of(c.data, c.len, &d), 0);
	assert_int_equal(sk_buf_addf(&c, "sha256 %s\n", SK_DIGEST_STR(&d)), 0);
	return sk_gen_decode(c.data, c.len, &g);
}

/* With a right sum, but not what the encoder makes. */
static void only_one_form(void **state)
{
	char huge[8192];

	assert_int_equal(decode_with("number 7", "number 7"), 0);
	assert_int_equal(decode_with("number 7", "number 007"), -EBADMSG);
	assert_int_equal(decode_with("number 7", "number +7"), -EBADMSG);
	assert_int_equal(decode_with("number 7", "number 0"), -EBADMSG);
	assert_int_equal(decode_with("number 7", "number 18446744073709551616"), -EBADMSG);
	assert_int_equal(decode_with("number 7", "number  7"), -EBADMSG);
	assert_int_equal(decode_with("generation 1", "generation 2"), -EBADMSG);
	assert_int_equal(decode_with("state bad", "state worse"), -EBADMSG);
	assert_int_equal(decode_with("state bad\n", ""), -EBADMSG);
	assert_int_equal(decode_with("ephemeral no", "ephemeral maybe"), -EBADMSG);
	assert_int_equal(decode_with("boots 3\n", "boots 4294967296\n"), -EBADMSG);
	assert_int_equal(decode_with("release ab", "release sha256:ab"), -EBADMSG);
	assert_int_equal(decode_with("release ab", "release AB"), -EBADMSG);
	assert_int_equal(decode_with("changed ", "changed -0"), -EBADMSG);
	assert_int_equal(decode_with("changed ", "changed 99999999999"), -EBADMSG);
	assert_int_equal(decode_with("exit status 1", "exit\r1"), -EBADMSG);
	assert_int_equal(decode_with("exit status 1\n", "exit status 1\nmore 1\n"), -EBADMSG);
	assert_int_equal(decode_with("exit status 1\n", "exit status 1"), -EBADMSG);
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(decode_with("exit status 1", huge), -EBADMSG);
	huge[600] = '\0';
	assert_int_equal(decode_with("exit status 1", huge), -EBADMSG);
}

static void control_characters_are_not_written(void **state)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SK_GEN_RECORD_MAX);
	struct sk_generation g = sample();

	strcpy(g.reason, "two\nlines");
	assert_int_equal(sk_gen_encode(&g, &b), -EINVAL);
	assert_int_equal(b.len, 0);
	b.max = 100;
	g.reason[0] = '\0';
	assert_int_equal(sk_gen_encode(&g, &b), -EMSGSIZE);
	assert_int_equal(b.len, 0);
}

static void links(void **state)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SK_GEN_RECORD_MAX);
	struct sk_gen_link l = { .current = 7, .next = UINT64_MAX }, back = { 0 };

	assert_int_equal(sk_gen_link_encode(&l, &b), 0);
	assert_int_equal(sk_gen_link_decode(b.data, b.len, &back), 0);
	assert_int_equal(back.current, 7);
	assert_true(back.next == UINT64_MAX);
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << (i % 8)));
		assert_int_equal(sk_gen_link_decode(b.data, b.len, &back), -EBADMSG);
		b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << (i % 8)));
	}
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(sk_gen_link_decode(b.data, len, &back), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(only_one_form),
		cmocka_unit_test(control_characters_are_not_written),
		cmocka_unit_test(links),
	};

	return cmocka_run_group_tests_name("model/generation_record", tests, NULL, NULL);
}
