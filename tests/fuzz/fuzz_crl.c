/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/crypto/crl.h"
#include "io/crypto/crl_info.h"
#include "io/crypto/ossl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_root(STACK_OF(X509) * *ret)
{
	BIO *b = BIO_new_file(SK_FUZZ_TRUST "/ca.pem", "r");

	*ret = sk_X509_new_null();
	if (!b || sk_X509_push(*ret, PEM_read_bio_X509(b, NULL, NULL, NULL)) <= 0)
		abort();
	BIO_free(b);
}

/* What is carried on is a file of one list that says the same of itself. */
static void carry(const uint8_t *data, size_t size)
{
	struct sk_crl_info *v = NULL, *again = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t n = 0, m = 0;

	if (sk_crl_infos_read(data, size, 8, &v, &n, &err) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (sk_crl_infos_read(v[i].pem, strlen(v[i].pem), 1, &again, &m, &err) < 0 ||
		    m != 1 || !sk_digest_equal(&again->digest, &v[i].digest) ||
		    !sk_digest_equal(&again->issuer_id, &v[i].issuer_id) ||
		    again->number != v[i].number)
			abort();
		sk_crl_infos_free(again, m);
	}
	sk_crl_infos_free(v, n);
}

/* Any bytes as a newer list, and as crl.pem. What is taken can be written and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static STACK_OF(X509) * roots;
	_cleanup_(sk_crls_done) struct sk_crls none = { 0 }, next = { 0 }, again = { 0 };
	_cleanup_(sk_crl_facts_done) struct sk_crl_facts facts = { 0 };
	_cleanup_free_ char *pem = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len;

	if (!roots)
		load_root(&roots);
	carry(data, size);
	(void)sk_crl_facts(data, size, &facts, &err);
	(void)sk_crls_load(&none, data, size, roots, &err);
	sk_crls_done(&none);
	if (sk_crls_with(&none, data, size, roots, &next, &err) != 0)
		return 0;
	if (sk_crls_pem(&next, &pem, &len, &err) < 0 ||
	    sk_crls_load(&again, pem, len, roots, &err) < 0)
		abort();
	return 0;
}
