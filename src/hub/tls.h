/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/** What the HTTP server needs, and where people find the authority to trust. */
struct sk_hub_tls {
	char *cert_pem; /* with the chain */
	char *key_pem;
	char *ca_file; /* NULL when the certificate was given by the administrator */
};
void sk_hub_tls_done(struct sk_hub_tls *t);

/**
 * sk_hub_tls_load() - the hub's certificate and key
 * @cert, @key: files; "" for both: <data>/tls and <data>/ca.pem, where an authority and a certificate for @names
 *              (host names and addresses with blanks between; "" for host name and localhost) are
 *              made at the first start, and a new certificate when the names change or 30 days
 *              before it expires. The authority stays, so what trusts it goes on doing so.
 */
int sk_hub_tls_load(const char *data, const char *cert, const char *key, const char *names,
		    struct sk_hub_tls *ret, struct sk_err *err);
