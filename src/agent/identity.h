/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/* Who the device is to the hub: an EC P-256 key of its own, made here, never leaving. */
struct sk_identity;

/** sk_identity_open() - <state_dir>/device.key; made (0600, all at once) when there is none. */
int sk_identity_open(const char *state_dir, struct sk_identity **ret, struct sk_err *err);
void sk_identity_free(struct sk_identity *id);
SK_DEFINE_CLEANUP(struct sk_identity, sk_identity_free);

/** SHA-256 of the public key (DER SubjectPublicKeyInfo), in hex. Borrowed. */
const char *sk_identity_id(const struct sk_identity *id);
/** The public key, base64 of its DER. Borrowed. */
const char *sk_identity_public(const struct sk_identity *id);
/**
 * sk_identity_sign() - base64 ECDSA-SHA256 over "<purpose>\n<challenge>\n<device id>"
 * Owned by the caller; NULL when it cannot be made.
 */
char *sk_identity_sign(const struct sk_identity *id, const char *purpose, const char *challenge);
