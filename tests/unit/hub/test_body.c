/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "hub/device/body.h"
#include "io/json.h"

static struct sk_err err;

static json_t *parse(const char *text)
{
	json_t *j = NULL;

	assert_int_equal(sk_json_parse(text, strlen(text), &j, &err), 0);
	return j;
}

static void report_is(const char *text, int want)
{
	json_t *j = parse(text);
	struct sk_report rep = { 0 };

	assert_int_equal(sk_report_read(j, &rep, &err) < 0 ? -1 : (int)rep.step, want);
	json_decref(j);
}

static void reports(void **state)
{
	char text[2200];

	report_is("{\"step\": \"downloading\", \"bytes_done\": 1}", SK_JOB_DOWNLOADING);
	report_is("{\"step\": \"done\", \"reason\": \"\"}", SK_JOB_DONE);
	report_is("{\"step\": \"waiting\"}", -1); /* the hub's own words */
	report_is("{\"step\": \"aborted\"}", -1);
	report_is("{\"step\": 7}", -1);
	report_is("{}", -1);
	report_is("{\"step\": \"done\", \"more\": 1}", -1);
	report_is("{\"step\": \"done\", \"bytes_done\": -1}", -1);
	(void)snprintf(text, sizeof(text), "{\"step\": \"failed\", \"reason\": \"%01025d\"}", 0);
	report_is(text, -1);
	(void)snprintf(text, sizeof(text), "{\"step\": \"failed\", \"reason\": \"%01024d\"}", 0);
	report_is(text, SK_JOB_FAILED);
}

#define ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int crls(const char *text)
{
	json_t *j = parse(text);
	struct sk_crl_report v[SK_CRLS_MAX];
	uint64_t version = 0;
	size_t n = 0;
	int r = sk_crl_reports_read(j, v, &n, &version, &err);

	json_decref(j);
	return r < 0 ? -1 : (int)n;
}

static void revocation_lists(void **state)
{
	char text[SK_CRLS_MAX * 120 + 512] = "{\"version\": 1, \"crls\": [";
	size_t len = strlen(text);

	assert_int_equal(crls("{\"version\": 1, \"crls\": []}"), 0);
	assert_int_equal(crls("{\"version\": 1, \"crls\": [{\"issuer\": \"r\", \"issuer_id\": \"" ID
			      "\", \"number\": 3, \"refused\": null}]}"),
			 1);
	assert_int_equal(crls("{\"version\": 1}"), -1);
	assert_int_equal(crls("{\"version\": 1, \"crls\": {}}"), -1);
	assert_int_equal(crls("{\"version\": -1, \"crls\": []}"), -1);
	assert_int_equal(crls("{\"version\": 1, \"crls\": [7]}"), -1);
	assert_int_equal(
		crls("{\"version\": 1, \"crls\": [{\"issuer\": \"r\", \"issuer_id\": \"x\"}]}"),
		-1);
	assert_int_equal(
		crls("{\"version\": 1, \"crls\": [{\"issuer\": \"\", \"issuer_id\": \"" ID "\"}]}"),
		-1);
	/* One more than there is room for. */
	for (int i = 0; i <= SK_CRLS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s{\"issuer\": \"r\", \"issuer_id\": \"" ID "\"}",
					i ? "," : "");
	(void)snprintf(text + len, sizeof(text) - len, "]}");
	assert_int_equal(crls(text), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports),
		cmocka_unit_test(revocation_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
