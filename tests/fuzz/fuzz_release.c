/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/crypto/cms.h"
#include "io/crypto/der.h"
#include "model/release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRUST_DIR SK_FUZZ_TRUST /* the root whose signature is in the corpus */
#define NOW	  1800000000

/*
 * Any bytes as a release file. One rule beyond "no crash": only the very content that was signed
 * comes out, which here says so.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sk_trust *trust; /* loaded once: a fuzzer runs millions of times */
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	_cleanup_free_ void *content = NULL, *peeked = NULL;
	_cleanup_free_ char *name = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len;

	if (!trust && sk_trust_load(TRUST_DIR, &trust, &err) < 0)
		abort();
	if (sk_cms_peek(data, size, SK_MANIFEST_SIZE_MAX, &peeked, &len, &err) == 0 &&
	    sk_der_check(data, size) < 0)
		abort();
	(void)sk_cms_signer(data, size, &cert, &err);
	if (sk_cms_verify(data, size, SK_MANIFEST_SIZE_MAX, trust, NOW, &content, &len, &name,
			  &err) == 0 &&
	    (len < 6 || memcmp(content, "signed", 6) != 0))
		abort();
	return 0;
}
