/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/release/release.h"
#include "io/crypto/pki.h"
#include "model/release.h"

/*
 * May a release come in or be applied? Signature and revocation against the trust folder, suitability
 * against the device and against what it runs.
 */
struct sk_verifier;

enum sk_clock_policy {
	SK_CLOCK_AUTO, /* believed once the kernel says that it is synchronised */
	SK_CLOCK_TRUSTED,
	SK_CLOCK_UNTRUSTED,
};

/**
 * struct sk_release_floor - what no release may go below
 * @project, @version: of the newest good generation that a reboot leaves; NULL for none. Borrowed.
 * @created_s:         when the newest good release was made; the clock is not earlier. 0 when not known
 */
struct sk_release_floor {
	const char *project, *version;
	int64_t created_s;
};

/**
 * struct sk_verifier_config - copied, but for @compatible, which must outlive the object
 * @trust_dir:    ca.pem and crl.pem
 * @compatible:   the device's own types, most specific first
 * @has_os_slots: false: releases with an OS image are refused
 */
struct sk_verifier_config {
	const char *trust_dir;
	char *const *compatible;
	enum sk_clock_policy clock;
	bool has_os_slots;
};

/** Trust that cannot be loaded is logged and is no failure: it is tried again with each release. */
int sk_verifier_new(const struct sk_verifier_config *config, struct sk_verifier **ret,
		    struct sk_err *err);
void sk_verifier_free(struct sk_verifier *v);
SK_DEFINE_CLEANUP(struct sk_verifier, sk_verifier_free);

/** sk_verifier_set_floor() - @fn is asked at each check; without one there is no floor */
void sk_verifier_set_floor(struct sk_verifier *v,
			   void (*fn)(void *arg, struct sk_release_floor *ret), void *arg);

bool sk_verifier_clock_trusted(const struct sk_verifier *v);
/** Wall clock, or 0 when it is not trusted. */
int64_t sk_verifier_now_s(const struct sk_verifier *v);
/** sk_verifier_facts() - what a release is checked against now; borrowed like the floor */
void sk_verifier_facts(const struct sk_verifier *v, struct sk_device_facts *ret);

/** sk_verifier_refresh() - the trust folder as it is now: roots and lists may be put there at any time */
int sk_verifier_refresh(struct sk_verifier *v, struct sk_err *err);
/** sk_verifier_trust() - as read by the last refresh, NULL before the first that worked. Borrowed until the next. */
struct sk_trust *sk_verifier_trust(const struct sk_verifier *v);

/** sk_verifier_check() - full check of a file, with the trust that was read last */
int sk_verifier_check(const struct sk_verifier *v, const void *der, size_t len,
		      struct sk_release **ret, struct sk_err *err);
/** sk_verifier_recheck() - a release of the store, whole and allowed with the trust folder as it is now */
int sk_verifier_recheck(struct sk_verifier *v, struct sk_store *store, const struct sk_digest *id,
			struct sk_release **ret, struct sk_err *err);
