/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/err.h"
#include "base/text.h"

static void repaired(const char *in, const char *want)
{
	char buf[64];

	(void)snprintf(buf, sizeof(buf), "%s", in);
	sk_utf8_repair(buf);
	assert_string_equal(buf, want);
}

static void what_is_no_utf8(void **state)
{
	repaired("", "");
	repaired("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\xa2",
		 "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\xa2");
	repaired("\xff\xfe", "??");
	repaired("a\x80z", "a?z");
	repaired("\xc3(", "?(");
	repaired("\xc0\xaf", "??");	      /* overlong */
	repaired("\xed\xa0\x80", "???");      /* a surrogate */
	repaired("\xf4\x90\x80\x80", "????"); /* beyond the last one */
	repaired("\xe0\x80\x80", "???");
}

static void a_character_cut_at_the_end_goes(void **state)
{
	repaired("a\xc3", "a");
	repaired("a\xe2\x82", "a");
	repaired("a\xf0\x9f\x90", "a");
	repaired("\xc3", "");
}

static void all_of_it(void **state)
{
	assert_true(sk_utf8_ok("", 0));
	assert_true(sk_utf8_ok("na\xc3\xafve", 6));
	/* the first and the last of each length, and beside the surrogates */
	assert_true(sk_utf8_ok("\xc2\x80\xdf\xbf", 4));
	assert_true(sk_utf8_ok("\xe0\xa0\x80\xef\xbf\xbf", 6));
	assert_true(sk_utf8_ok("\xed\x9f\xbf\xee\x80\x80", 6));
	assert_true(sk_utf8_ok("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8));
	assert_false(sk_utf8_ok("na\xc3\xafve", 3)); /* ends within a character */
	assert_false(sk_utf8_ok("a\xff", 2));
}

static void cleaned(const char *in, const char *keep, const char *want)
{
	char buf[64];

	(void)snprintf(buf, sizeof(buf), "%s", in);
	sk_text_clean(buf, keep);
	assert_string_equal(buf, want);
}

static void nothing_commands_a_terminal(void **state)
{
	cleaned("a\x1b[2Jb", "", "a [2Jb");
	cleaned("a\xc2\x9b"
		"2Jb",
		"", "a  2Jb"); /* CSI in one character */
	cleaned("a\x7f\r\n\tb", "", "a    b");
	cleaned("a\n\tb\r", "\n\t", "a\n\tb ");
	cleaned("a\xe2\x80\xaetxt.exe", "", "a   txt.exe");  /* right to left */
	cleaned("a\xe2\x80\xa8z", "", "a   z");		     /* a line separator */
	cleaned("\xe2\x81\xa6z\xe2\x81\xa9", "", "   z   "); /* the first and last isolate */
	cleaned("\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "", "        ");
	cleaned("\xc3\xa9\xc2\xa0", "", "\xc3\xa9\xc2\xa0");
}

static void an_error_can_always_be_sent(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	char name[2 * SK_ERR_TEXT_MAX];

	for (size_t i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\xc3\xa9", 3);
	for (int shift = 0; shift < 2; shift++) {
		(void)sk_err_set(&err, -EINVAL, "bad-name", "%s%s", shift ? "x" : "", name);
		assert_int_equal(strspn(err.text, "x\xc3\xa9"), strlen(err.text));
		assert_int_not_equal((unsigned char)err.text[strlen(err.text) - 1], 0xc3);
		(void)sk_err_prefix(&err, "y%s", shift ? "" : "y");
		assert_int_not_equal((unsigned char)err.text[strlen(err.text) - 1], 0xc3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it),
		cmocka_unit_test(what_is_no_utf8),
		cmocka_unit_test(a_character_cut_at_the_end_goes),
		cmocka_unit_test(nothing_commands_a_terminal),
		cmocka_unit_test(an_error_can_always_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
