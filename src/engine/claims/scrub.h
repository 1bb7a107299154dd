/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "base/macros.h"
#include "store/store.h"

/** struct sk_scrub - a check of all images and release files of the store, in a child */
struct sk_scrub;

/** struct sk_scrub_report - how many were read, and the digests of those that were moved to quarantine */
struct sk_scrub_report {
	uint64_t images, releases;
	char **damaged_images, **damaged_releases;
};

/** @report is NULL when the store could not be read: then @err says why. The scrub may be freed inside. */
typedef void (*sk_scrub_done_fn)(void *arg, const struct sk_scrub_report *report,
				 const struct sk_err *err);

int sk_scrub_start(sd_event *event, struct sk_store *store, sk_scrub_done_fn done, void *arg,
		   struct sk_scrub **ret, struct sk_err *err);
/** Ends one under way; @done is not called then. */
void sk_scrub_free(struct sk_scrub *s);
SK_DEFINE_CLEANUP(struct sk_scrub, sk_scrub_free);
