/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/*
 * A device proves that it has its key: it signs a challenge. Challenges carry their own expiry and
 * a MAC, so that strangers who ask for millions of them fill nothing; only those that a valid
 * signature used up are remembered, until they expire.
 */
struct sk_challenges;

#define SK_CHALLENGE_VALID_S 60
#define SK_CHALLENGE_MAX     96

struct sk_challenges *sk_challenges_new(void);
void sk_challenges_free(struct sk_challenges *c);
SK_DEFINE_CLEANUP(struct sk_challenges, sk_challenges_free);

/** @now_ms: monotonic. */
int sk_challenge_new(struct sk_challenges *c, uint64_t now_ms, char ret[static SK_CHALLENGE_MAX],
		     struct sk_err *err);
/** sk_challenge_check() - made by this hub, and not expired. "unauthorized" */
int sk_challenge_check(struct sk_challenges *c, const char *challenge, uint64_t now_ms,
		       struct sk_err *err);
/** sk_challenge_use() - "unauthorized" when it was used before, "too-many" when the list is full. */
int sk_challenge_use(struct sk_challenges *c, const char *challenge, uint64_t now_ms,
		     struct sk_err *err);

/**
 * sk_proof_key() - read a device's public key
 * @base64: DER SubjectPublicKeyInfo of an EC P-256 key
 * @ret_id: SHA-256 of the DER: the device's id. "bad-value"
 */
int sk_proof_key(const char *base64, struct sk_digest *ret_id, struct sk_err *err);

/**
 * sk_proof_verify() - did the holder of the key sign "<purpose>\n<challenge>\n<device_id>"?
 * @signature: base64 of a DER ECDSA-SHA256 signature
 * Return: 0, or -EKEYREJECTED with "unauthorized"
 */
int sk_proof_verify(const char *public_key, const char *purpose, const char *challenge,
		    const char *device_id, const char *signature, struct sk_err *err);
