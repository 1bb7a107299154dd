/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/digest.h"
#include "base/err.h"
#include "engine/capsule/engine.h"
#include "io/http/server.h"
#include "store/store.h"

/*
 * Releases and generations of the device: takes in signed releases and their images, goes from
 * one generation to the next behind a health gate, and back to the last good one by itself.
 * What follows what is decided by model/update.h; here it is carried out, over the store, the
 * generations on record and the capsule engine.
 * Reference: docs/explanation/upgrade.md, docs/reference/skerryd-api.yaml
 */
struct sk_update;

enum sk_clock_policy {
	SK_CLOCK_AUTO, /* believed once the kernel says that it is synchronised */
	SK_CLOCK_TRUSTED,
	SK_CLOCK_UNTRUSTED,
};

/**
 * struct sk_update_config - all copied but @compatible, which must outlive the object
 * @store_dir:    where the store lies: free space is asked there
 * @trust_dir:    ca.pem and crl.pem
 * @compatible:   the device's own types, most specific first
 * @has_os_slots: false: releases with an OS image are refused
 * @releases_max: releases kept that were never applied; 0 for 4
 * @boot_id_file: NULL for the kernel's
 * @vet_uid:      who looks first at what the link brings; 0: this process's own user
 * @keep_image:   is this image wanted by somebody else (a local image name)? May be NULL.
 */
struct sk_update_config {
	const char *store_dir;
	const char *trust_dir;
	char *const *compatible;
	enum sk_clock_policy clock;
	bool has_os_slots;
	unsigned releases_max;
	const char *boot_id_file;
	uid_t vet_uid;
	bool (*keep_image)(void *arg, const struct sk_digest *d);
	void *keep_arg;
};

/** @store and @engine must outlive the object. Trust that cannot be loaded is no failure: it is tried
 *  again with each release, and the device runs what it has meanwhile. */
int sk_update_new(sd_event *event, struct sk_store *store, struct sk_engine *engine,
		  const struct sk_update_config *config, struct sk_update **ret,
		  struct sk_err *err);
/** Capsules keep running. */
void sk_update_free(struct sk_update *u);
SK_DEFINE_CLEANUP(struct sk_update, sk_update_free);

/** sk_update_start() - find out which generation runs now and make it so; call once, before the loop. */
int sk_update_start(struct sk_update *u, struct sk_err *err);

/** sk_update_halt() - the machine goes down: judge nothing and change nothing any more
 * What is under way is taken up by the next sk_update_start(), as after a power cut. */
void sk_update_halt(struct sk_update *u);

/** Name of a running generation's release for banners ("demo 1.2.0, generation 3"), or NULL. Borrowed. */
const char *sk_update_running_name(const struct sk_update *u);

/** sk_update_collect() - remove images and releases that nothing needs any more; failures are logged. The room of
 *  large ones is given back a little later, by a child. */
void sk_update_collect(struct sk_update *u);

/**
 * The update and release routes of /skerry/v1. sk_update_of() is the program's: it finds the
 * object in what the server hands to handlers.
 */
extern const struct sk_http_route sk_update_routes[];
struct sk_update *sk_update_of(void *http_arg);

/** Route flag: the link to the hub (skerry-agent's user) may call it too. */
#define SK_UPDATE_ROUTE_AGENT SK_HTTP_USER
