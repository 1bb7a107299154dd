/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"
#include "store/store.h"

/*
 * Which images and release files of the store are needed, and the removal of the others. Each module that needs
 * files registers as a claimant and is asked at each collection, so that there is no second list to keep up to
 * date. Claimants: generations, releases not applied yet and uploads, capsules, local image names.
 */
struct sk_claims;

/** What the claimants of one collection name. */
struct sk_marks;

/** sk_marks_image() - 0 or -ENOMEM; one that is marked already is fine */
int sk_marks_image(struct sk_marks *m, const struct sk_digest *d);
/** sk_marks_release() - the release file and the images that it names; fails when it cannot be read */
int sk_marks_release(struct sk_marks *m, const struct sk_digest *id, struct sk_err *err);

/**
 * struct sk_claimant - a module that needs files of the store
 * @name:      for the log
 * @mark:      names all that is needed now; a failure means that it is not known: then nothing is collected
 * @needs:     is this one needed? For a claimant who cannot list what it needs
 * @collected: something may have been removed: what was remembered of the store is to be read again
 * @arg:       must live until the last collection
 * Each function may be NULL.
 */
struct sk_claimant {
	const char *name;
	int (*mark)(void *arg, struct sk_marks *m, struct sk_err *err);
	bool (*needs)(void *arg, const struct sk_digest *d);
	void (*collected)(void *arg);
	void *arg;
};

/** @store must outlive the object. */
int sk_claims_new(sd_event *event, struct sk_store *store, struct sk_claims **ret,
		  struct sk_err *err);
/** Ends the children that give room back: it is given back with them. */
void sk_claims_free(struct sk_claims *c);
SK_DEFINE_CLEANUP(struct sk_claims, sk_claims_free);

/** sk_claims_register() - @who is copied. 0, or "too-many" */
int sk_claims_register(struct sk_claims *c, const struct sk_claimant *who, struct sk_err *err);

/**
 * sk_claims_collect() - remove what no claimant needs; failures are logged
 * The room of large files is given back a little later, by a child.
 */
void sk_claims_collect(struct sk_claims *c);
/** sk_claims_make_room() - the same, and the room is there on return: for when it is short */
void sk_claims_make_room(struct sk_claims *c);
/** sk_claims_freeing() - the child that gives room back, of the last collection that needed one; 0 for none */
pid_t sk_claims_freeing(const struct sk_claims *c);
