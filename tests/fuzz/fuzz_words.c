/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/str.h"
#include "io/crypto/pkcs11.h"
#include "model/manifest.h"
#include "model/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

/* What is written for a value is read as that value, where it is not rounded for people. */
static void values(const char *s)
{
	uint64_t v, again;
	uint32_t n;
	char buf[32];

	if (sk_parse_u64(s, &v) == 0 && v <= UINT32_MAX)
		HOLDS(sk_parse_u32(s, &n) == 0 && n == v);
	if (sk_parse_duration(s, &v) == 0)
		HOLDS(sk_parse_duration(sk_format_duration(buf, v), &again) == 0 && again == v);
	if (sk_parse_size(s, &v) == 0)
		HOLDS(*sk_format_size(buf, v));
}

static void times(const char *s)
{
	int64_t t, again;
	char buf[32];

	if (sk_time_parse(s, &t) == 0)
		HOLDS(sk_time_parse(sk_time_format(buf, t), &again) == 0 && again == t);
}

static void names(const char *s)
{
	struct sk_digest d, again;
	char signal[16];
	int sig, sig_again;

	HOLDS(!sk_name_ok(s) || sk_path_ok(s));
	if (sk_digest_parse(s, &d) == 0)
		HOLDS(sk_digest_parse(SK_DIGEST_STR(&d), &again) == 0 &&
		      sk_digest_equal(&d, &again));
	if (sk_signal_parse(s, &sig) == 0)
		HOLDS(sk_signal_parse(sk_signal_name(signal, sig), &sig_again) == 0 &&
		      sig == sig_again);
}

/* An order is one: no pair says both, and what is below one that is below a third is below that. */
static void versions(const char *a, const char *b, const char *c)
{
	if (!sk_version_ok(a) || !sk_version_ok(b))
		return;
	HOLDS(sk_version_cmp(a, a) == 0);
	HOLDS((sk_version_cmp(a, b) < 0) == (sk_version_cmp(b, a) > 0));
	HOLDS((sk_version_cmp(a, b) == 0) == (sk_version_cmp(b, a) == 0));
	if (sk_version_ok(c) && sk_version_cmp(a, b) <= 0 && sk_version_cmp(b, c) <= 0)
		HOLDS(sk_version_cmp(a, c) <= 0);
}

static void uris(const char *s)
{
	static const char *const attributes[] = { "pin-value", "pin-source", "module-path", "x" };
	char small[4], buf[4096];

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		bool there = sk_pkcs11_attribute(s, attributes[i], buf, sizeof(buf));
		_cleanup_free_ char *without = sk_pkcs11_without(s, attributes[i]);

		HOLDS(without && (strlen(without) < strlen(s)) == there);
		HOLDS(sk_pkcs11_attribute(s, attributes[i], small, sizeof(small)) == there);
		HOLDS(!there || strlen(small) < sizeof(small));
	}
}

/* Three lines, each as every kind of word. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	char *at = text, *line[3] = { (char *)"", (char *)"", (char *)"" };

	for (size_t i = 0; i < ARRAY_SIZE(line) && at; i++)
		line[i] = strsep(&at, "\n");
	for (size_t i = 0; i < ARRAY_SIZE(line); i++) {
		values(line[i]);
		times(line[i]);
		names(line[i]);
		uris(line[i]);
	}
	versions(line[0], line[1], line[2]);
	return 0;
}
