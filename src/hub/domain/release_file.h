/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

struct sk_manifest;

/** A release file as the hub understands it. */
struct sk_release_file {
	struct sk_digest id;   /* of the device tree inside */
	struct sk_digest file; /* of the file itself */
	struct sk_manifest *manifest;
	json_t *graph;	    /* apps, images, protocol connections */
	json_t *compatible; /* array of strings */
};
void sk_release_file_done(struct sk_release_file *f);

/**
 * sk_release_file_read() - check a .skr
 * @ca_pem: roots of the organisation, or NULL: then the signature is not checked here. Devices
 *          check it in any case; this tells the person who uploads at once.
 * @crls:   revocation lists (PEM); those that no root signed count for nothing
 * Return: 0, "bad-release", "bad-manifest", "untrusted", "revoked", "expired"
 */
int sk_release_file_read(const void *skr, size_t len, const char *ca_pem, char *const *crls,
			 struct sk_release_file *ret, struct sk_err *err);

/** sk_roots_check_crl() - did one of the roots sign the list? "untrusted" */
int sk_roots_check_crl(const char *ca_pem, const char *crl_pem, struct sk_err *err);

/** sk_roots_check() - PEM certificates that can be roots. "bad-value" */
int sk_roots_check(const char *pem, struct sk_err *err);

/** sk_manifest_graph() - what runs, and who talks to whom; new reference, NULL without memory. */
json_t *sk_manifest_graph(const struct sk_manifest *m);
