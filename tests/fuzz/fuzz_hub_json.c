/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/str.h"
#include "hub/core/config.h"
#include "hub/device/body.h"
#include "hub/domain/proof.h"
#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What strangers send to a hub: bodies of enrolments and reports, keys and challenges in them. */
static void read_body(const json_t *body)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_enrol_request a = { 0 };
	struct sk_crl_report crls[SK_CRLS_MAX];
	uint64_t version = 0;
	size_t n = 0;
	struct sk_report rep = { 0 };

	if (sk_enrol_request_read(body, &a, &err) == 0 &&
	    (strlen(a.uid) != SK_DIGEST_HEX || !sk_name_ok(a.name)))
		abort();
	if (a.public_key && a.challenge && a.signature)
		(void)sk_proof_verify(a.public_key, "skerry-enrol", a.challenge, a.uid, a.signature,
				      &err);
	sk_enrol_request_done(&a);
	(void)sk_crl_reports_read(body, crls, &n, &version, &err);
	if (n > SK_CRLS_MAX && err.code == 0)
		abort();
	if (sk_report_read(body, &rep, &err) == 0 && !sk_job_reportable(rep.step))
		abort();
}

static void read_text(const char *text)
{
	static struct sk_challenges *challenges;
	struct sk_err err = SK_ERR_INIT;
	struct sk_hub_config config;
	char *copy = strdup(text);

	if (!challenges)
		challenges = sk_challenges_new();
	if (!challenges || !copy)
		abort();
	if (sk_challenge_check(challenges, text, 1, &err) == 0)
		abort(); /* nobody can make one without the key */
	sk_hub_config_defaults(&config);
	(void)sk_conf_parse("fuzz", copy, sk_hub_config_set, &config, &err);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ json_t *body = NULL;
	_cleanup_free_ char *text = strndup((const char *)data, size);
	struct sk_err err = SK_ERR_INIT;

	if (!text)
		abort();
	read_text(text);
	if (sk_json_parse((const char *)data, size, &body, &err) == 0 && json_is_object(body))
		read_body(body);
	return 0;
}
