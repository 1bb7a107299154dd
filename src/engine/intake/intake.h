/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"
#include "engine/claims/claims.h"
#include "engine/intake/upload.h"
#include "engine/release/verifier.h"
#include "store/store.h"

/*
 * What comes into the device: releases, the images that they name, revocation lists. Each release and list
 * is checked by a child without rights first (precheck.h), then here.
 */
struct sk_intake;

/** How many releases that were never applied are kept, unless the configuration says otherwise. */
#define SK_INTAKE_RELEASES_MAX 4

/**
 * struct sk_intake_config - objects are borrowed and must outlive the intake, strings are copied
 * @store_dir:    where the store lies: free space is asked there
 * @releases_max: releases kept that were never applied; 0 for SK_INTAKE_RELEASES_MAX
 * @precheck_uid: who looks first at what the link brings; 0: this process's own user
 */
struct sk_intake_config {
	sd_event *event;
	struct sk_store *store;
	struct sk_claims *claims;
	struct sk_verifier *verifier;
	const char *store_dir;
	unsigned releases_max;
	uid_t precheck_uid;
};

/** Registers as a claimant: kept releases, uploads. */
int sk_intake_new(const struct sk_intake_config *config, struct sk_intake **ret,
		  struct sk_err *err);
/** Uploads, seals and checks under way end; what arrived stays. */
void sk_intake_free(struct sk_intake *in);
SK_DEFINE_CLEANUP(struct sk_intake, sk_intake_free);

/**
 * struct sk_intake_host - who keeps the generations
 * @in_use:   has a generation that is not bad this release?
 * @released: the file of this release is here, whole
 * @arrived:  so is this image
 */
struct sk_intake_host {
	bool (*in_use)(void *arg, const struct sk_digest *id);
	void (*released)(void *arg, const struct sk_digest *id);
	void (*arrived)(void *arg, const struct sk_digest *d);
	void *arg;
};
/** Copied. To be set before anything comes. */
void sk_intake_set_host(struct sk_intake *in, const struct sk_intake_host *host);

/** struct sk_intake_result - @release: of a release file, borrowed; @changed: a revocation list was newer */
struct sk_intake_result {
	const struct sk_release *release;
	bool changed;
};
/** @result is NULL when it was refused: @err says why. Called from the loop. */
typedef void (*sk_intake_done_fn)(void *arg, const struct sk_intake_result *result,
				  const struct sk_err *err);

/** One that is being checked; gone once its done function is called. */
struct sk_intake_job;

/** @data is borrowed until @done is called or the job cancelled. */
int sk_intake_release(struct sk_intake *in, const void *data, size_t len, sk_intake_done_fn done,
		      void *arg, struct sk_intake_job **ret, struct sk_err *err);
int sk_intake_crl(struct sk_intake *in, const void *data, size_t len, sk_intake_done_fn done,
		  void *arg, struct sk_intake_job **ret, struct sk_err *err);
void sk_intake_cancel(struct sk_intake_job *job);
/** How many are being checked, or wait for it. */
size_t sk_intake_checking(const struct sk_intake *in);

/** sk_intake_check() - may this release come in? Looks at nothing but the verifier, the generations and the file */
int sk_intake_check(struct sk_intake *in, const void *der, size_t len, struct sk_release **ret,
		    struct sk_err *err);
/** sk_intake_take() - check it with the trust folder as it is now, and keep it */
int sk_intake_take(struct sk_intake *in, const void *der, size_t len, struct sk_release **ret,
		   struct sk_err *err);
/** Ids in hex of the releases never applied, oldest first; borrowed. */
char *const *sk_intake_kept(const struct sk_intake *in);
/** sk_intake_applied() - a generation keeps this release from now on */
int sk_intake_applied(struct sk_intake *in, const struct sk_digest *id, struct sk_err *err);

/** sk_intake_expected() - size of an image that a release here names; "not-found" for one that none does */
int sk_intake_expected(struct sk_intake *in, const struct sk_digest *d, uint64_t *ret_size_bytes,
		       struct sk_err *err);
/** sk_intake_upload() - an image that is expected, see sk_upload_open(); the spec's size is set here */
int sk_intake_upload(struct sk_intake *in, struct sk_upload_spec *spec, struct sk_upload **ret,
		     struct sk_err *err);
const struct sk_uploads *sk_intake_uploads(const struct sk_intake *in);
uint64_t sk_intake_free_bytes(const struct sk_intake *in);
