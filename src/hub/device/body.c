/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/device/body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "hub/domain/proof.h"
#include "io/json.h"

#define COMPATIBLE_MAX	    16
#define COMPATIBLE_NAME_MAX 128
#define SIGNATURE_MAX	    256
#define REASON_MAX	    1024
#define ISSUER_MAX	    256

void sk_enrol_request_done(struct sk_enrol_request *a)
{
	free(a->compatible);
}

static int read_compatible(const json_t *body, struct sk_enrol_request *a, struct sk_err *err)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_json_ json_t *j = NULL;
	int r = sk_json_get_strv(body, "compatible", COMPATIBLE_MAX, &v, err);

	if (r < 0)
		return r;
	SK_STRV_FOREACH (s, v) {
		for (const char *c = *s; *c; c++)
			if (*c <= ' ' || *c > '~' || c - *s >= COMPATIBLE_NAME_MAX)
				return sk_err_set(err, -EINVAL, "bad-value",
						  "compatible: at most %d printable letters each",
						  COMPATIBLE_NAME_MAX);
	}
	j = sk_json_strv(v);
	a->compatible = j ? json_dumps(j, JSON_COMPACT) : NULL;
	return a->compatible ? 0 : sk_err_oom(err);
}

static int read_name(const json_t *body, struct sk_enrol_request *a, struct sk_err *err)
{
	const char *name = NULL;
	int r = sk_json_get_str(body, "name", &name, err);

	if (r < 0)
		return r;
	if (name && !sk_name_ok(name))
		return sk_err_set(err, -EINVAL, "bad-name",
				  "name: first a letter or digit, then letters, digits, '.', '_', "
				  "'-', at most %d",
				  SK_NAME_MAX);
	(void)snprintf(a->name, sizeof(a->name), "%.*s", name ? SK_NAME_MAX : 12,
		       name ? name : a->uid);
	return 0;
}

int sk_enrol_request_read(const json_t *body, struct sk_enrol_request *a, struct sk_err *err)
{
	static const char *const known[] = { "public_key",   "challenge", "signature",
					     "compatible",   "name",	  "token",
					     "organisation", NULL };
	struct sk_digest id;
	int r = sk_json_only(body, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_str(body, "public_key", SK_PUBLIC_KEY_MAX - 1, &a->public_key, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(body, "challenge", SK_CHALLENGE_MAX - 1, &a->challenge, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(body, "signature", SIGNATURE_MAX, &a->signature, err);
	if (r < 0)
		return r;
	r = sk_json_get_str(body, "token", &a->token, err);
	if (r < 0)
		return r;
	r = sk_json_get_str(body, "organisation", &a->organisation, err);
	if (r < 0)
		return r;
	r = sk_proof_key(a->public_key, &id, err);
	if (r < 0)
		return r;
	(void)sk_digest_hex(&id, a->uid);
	r = read_compatible(body, a, err);
	return r < 0 ? r : read_name(body, a, err);
}

int sk_report_read(const json_t *body, struct sk_report *ret, struct sk_err *err)
{
	static const char *const known[] = { "step", "bytes_done", "bytes_total", "reason", NULL };
	const char *step;
	int r = sk_json_only(body, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_str(body, "step", 32, &step, err);
	if (r < 0)
		return r;
	r = sk_json_get_u64(body, "bytes_done", &ret->done, err);
	if (r < 0)
		return r;
	r = sk_json_get_u64(body, "bytes_total", &ret->total, err);
	if (r < 0)
		return r;
	r = sk_json_get_str(body, "reason", &ret->reason, err);
	if (r < 0)
		return r;
	if (sk_job_state_parse(step, &ret->step) < 0 || !sk_job_reportable(ret->step))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "step: one of received, downloading, applying, settling, done, "
				  "failed");
	if (ret->reason && strlen(ret->reason) > REASON_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "reason: at most %d bytes",
				  REASON_MAX);
	return 0;
}

static int read_crl(const json_t *j, struct sk_crl_report *ret, struct sk_err *err)
{
	static const char *const known[] = { "issuer", "issuer_id", "number", "refused", NULL };
	struct sk_digest id;
	uint64_t number = 0;
	int r = sk_json_only(j, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_digest(j, "issuer_id", &id, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(j, "issuer_id", SK_DIGEST_HEX, &ret->issuer_id, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(j, "issuer", ISSUER_MAX, &ret->issuer, err);
	if (r < 0)
		return r;
	r = sk_json_get_u64(j, "number", &number, err);
	if (r < 0)
		return r;
	r = sk_json_get_str(j, "refused", &ret->refused, err);
	if (r < 0)
		return r;
	if (ret->refused && strlen(ret->refused) > REASON_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "refused: at most %d bytes",
				  REASON_MAX);
	ret->number = (int64_t)number;
	return 0;
}

int sk_crl_reports_read(const json_t *body, struct sk_crl_report ret[static SK_CRLS_MAX],
			size_t *ret_n, uint64_t *ret_version, struct sk_err *err)
{
	static const char *const known[] = { "version", "crls", NULL };
	const json_t *list = json_object_get(body, "crls"), *j;
	size_t i;
	int r = sk_json_only(body, known, err);

	if (r < 0)
		return r;
	r = sk_json_get_u64(body, "version", ret_version, err);
	if (r < 0)
		return r;
	if (!json_is_array(list) || json_array_size(list) > SK_CRLS_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "crls: a list, at most %d",
				  SK_CRLS_MAX);
	json_array_foreach (list, i, j) {
		r = read_crl(j, &ret[i], err);
		if (r < 0)
			return r;
	}
	*ret_n = json_array_size(list);
	return 0;
}
