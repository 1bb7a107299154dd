/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/crypto/keys.h"
#include "io/crypto/pki.h"

/**
 * sk_cms_sign() - wrap @content in a CMS SignedData (DER) with the signer's certificate inside
 * Return: 0 with *ret owned by the caller, or "io", "bad-value", "out-of-memory"
 */
int sk_cms_sign(const void *content, size_t len, const struct sk_signer *signer, void **ret,
		size_t *ret_len, struct sk_err *err);

/**
 * sk_cms_verify() - check a signature and hand out what was signed
 * @trust: roots, and revocations where there are any
 * @now_s: wall clock, or 0 when it is not trusted: certificate dates are not checked then
 * @ret_signer_name: for people; may be NULL
 * Checks: exactly one form (SignedData in DER), one signer, its chain up to a root of @trust,
 * purpose (extended key usage code signing; no CA certificate signs a release), revocation, digest
 * and signature with algorithms of at least 112 bit strength.
 * Return: 0 with the content (a NUL behind it) owned by the caller; -EKEYREJECTED with
 * "untrusted", "revoked", "expired"; -EBADMSG with "bad-release"
 * Source: docs/reference/release.md, "Verification"
 */
int sk_cms_verify(const void *der, size_t len, size_t content_max, const struct sk_trust *trust,
		  int64_t now_s, void **ret, size_t *ret_len, char **ret_signer_name,
		  struct sk_err *err);

/** sk_cms_peek() - the content without any check: for showing only. */
int sk_cms_peek(const void *der, size_t len, size_t content_max, void **ret, size_t *ret_len,
		struct sk_err *err);

/** sk_cms_signer() - the certificate that a message names as its signer's, unchecked: for showing. */
int sk_cms_signer(const void *der, size_t len, struct sk_cert **ret, struct sk_err *err);
