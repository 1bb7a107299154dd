/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "io/crypto/pki.h"

/*
 * The folder of skerry key, "keys" unless another is named:
 *   ca.key, ca.pem         the root
 *   crl.pem                what it has revoked; with ca.pem a device's trust folder
 *   NAME.key, NAME.pem     release-signing keys and certificates
 *   index                  every certificate that was issued, so that each can be revoked
 * The index is written before the file that it lists: a crash leaves at most a row for a
 * certificate that nobody has, never a certificate that cannot be found.
 * Reference: docs/howto/keys.md
 */
struct sk_issued {
	char name[SK_NAME_MAX + 1];
	char serial[SK_SERIAL_HEX + 1];
	int64_t from_s, to_s;
	int64_t revoked_s; /* 0: it is not */
};

struct sk_keyring {
	char *dir;
	int dirfd; /* locked against a second skerry key at the same time */
	uint64_t
		crl_number; /* of the newest list, also of one that a crash kept from being written */
	struct sk_issued *issued;
	size_t n_issued;
};

/** sk_keyring_create() - for a new root: the folder is made; "already-exists" with a root in it */
int sk_keyring_create(const char *dir, struct sk_keyring *ret, struct sk_err *err);
/** sk_keyring_open() - "not-found" without a root in it, "damaged" when the index is */
int sk_keyring_open(const char *dir, struct sk_keyring *ret, struct sk_err *err);
void sk_keyring_done(struct sk_keyring *k);

/** sk_keyring_save() - write the index. */
int sk_keyring_save(const struct sk_keyring *k, struct sk_err *err);

/** sk_keyring_add() - note a certificate in memory; sk_keyring_save() makes it last. */
int sk_keyring_add(struct sk_keyring *k, const char *name, const struct sk_cert *cert,
		   struct sk_err *err);

/** By name (the newest of that name) or serial; NULL when there is none. */
struct sk_issued *sk_keyring_find(struct sk_keyring *k, const char *name_or_serial);

/** sk_keyring_write_new() - <name><suffix>, never over a file that is there: "already-exists" */
int sk_keyring_write_new(const struct sk_keyring *k, const char *name, const char *suffix,
			 const char *data, size_t len, unsigned int mode, struct sk_err *err);

/** sk_keyring_has() - is there a <name><suffix>? */
bool sk_keyring_has(const struct sk_keyring *k, const char *name, const char *suffix);

/** The root's key and certificate; both owned by the caller. */
struct sk_keyring_ca {
	struct sk_key *key;
	struct sk_cert *cert;
};
int sk_keyring_ca(const struct sk_keyring *k, const struct sk_secret *secret,
		  struct sk_keyring_ca *ret, struct sk_err *err);
void sk_keyring_ca_done(struct sk_keyring_ca *ca);

/** sk_keyring_write_crl() - a list with the next number, of all that the index says is revoked */
int sk_keyring_write_crl(struct sk_keyring *k, const struct sk_keyring_ca *ca, int64_t now_s,
			 struct sk_err *err);
/** sk_keyring_crl_current() - is crl.pem the newest list that was to be written? */
bool sk_keyring_crl_current(const struct sk_keyring *k);
