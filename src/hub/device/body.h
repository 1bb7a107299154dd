/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "base/digest.h"
#include "base/err.h"
#include "hub/db/crls.h"
#include "hub/db/devices.h"
#include "hub/domain/job.h"

/* Bodies that devices, or strangers who say that they are one, send: read and checked here. */

/** What a device says when it asks to be let in; strings borrowed from the body. */
struct sk_enrol_request {
	const char *public_key, *challenge, *signature, *token, *organisation;
	char uid[SK_DIGEST_HEX + 1];
	char name[SK_DEVICE_NAME_MAX + 1];
	char *compatible; /* JSON text, owned */
};

void sk_enrol_request_done(struct sk_enrol_request *a);
/** sk_enrol_request_read() - "bad-request", "bad-value", "bad-name". The signature is not checked here. */
int sk_enrol_request_read(const json_t *body, struct sk_enrol_request *ret, struct sk_err *err);

/** What a device reports of a job. */
struct sk_report {
	enum sk_job_state step;
	uint64_t done, total;
	const char *reason;
};

int sk_report_read(const json_t *body, struct sk_report *ret, struct sk_err *err);

/** sk_crl_reports_read() - which revocation lists it has; strings borrowed from the body. */
int sk_crl_reports_read(const json_t *body, struct sk_crl_report ret[static SK_CRLS_MAX],
			size_t *ret_n, uint64_t *ret_version, struct sk_err *err);
