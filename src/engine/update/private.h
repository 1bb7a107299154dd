/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "engine/update/generations.h"
#include "engine/update/update.h"
#include "io/crypto/cms.h"
#include "io/sys/child.h"
#include "model/manifest.h"
#include "model/release.h"
#include "model/update.h"

/* What the files of this folder share; nobody else includes it. */

#define SK_UPDATE_KEEP_GOOD	2
#define SK_UPDATE_RELEASES_MAX	4
#define SK_UPDATE_ID_MAX	(SK_DIGEST_HEX + 1)
#define SK_UPDATE_REPAIR_MIN_MS UINT64_C(30000)
#define SK_UPDATE_REPAIR_MAX_MS UINT64_C(600000)

/** A verified release with its manifest. */
struct sk_release {
	struct sk_digest id;
	struct sk_manifest *manifest;
};
void sk_release_free(struct sk_release *r);
SK_DEFINE_CLEANUP(struct sk_release, sk_release_free);

/** How far the present state is with an app: those that do not depend on each other go side by side. */
enum sk_want_step {
	SK_WANT_TODO,
	SK_WANT_BUSY,
	SK_WANT_THROUGH,
};

/** What the target wants of one app, and the capsule that is to be it. */
struct sk_want {
	struct sk_update *u;
	enum sk_want_step step;
	size_t n_deps;		  /* apps that it depends on */
	size_t waits;		  /* of them those that are not through */
	bool again;		  /* what is under way only made room: once more after it */
	const struct sk_app *app; /* borrowed from the target's manifest */
	struct sk_digest fingerprint;
	char id[SK_UPDATE_ID_MAX]; /* "": there is none yet */
};

/** What is told by GET /update. */
struct sk_update_news {
	uint64_t seq;
	const char *step; /* constant */
	uint64_t generation;
	struct sk_digest release;
	char version[64];
	char reason[SK_GEN_REASON_MAX];
};

struct sk_update {
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *engine;
	struct sk_generations *gens;
	struct sk_trust *trust; /* NULL: could not be loaded yet */
	char *store_dir, *trust_dir, *boot_id_file;
	char *const *compatible;
	enum sk_clock_policy clock;
	bool has_os_slots;
	unsigned releases_max;
	bool (*keep_image)(void *arg, const struct sk_digest *d);
	void *keep_arg;

	/* intake */
	char **kept;		/* ids of releases never applied, oldest first */
	struct sk_map *claimed; /* digest -> size, of the images of any release here; NULL: stale */
	struct sk_map *needed;	/* the same, of those that generations need; NULL: stale */
	struct sk_upload *uploads;
	struct sk_verify *verifying; /* NULL: nobody asked for it */
	struct sk_freeing *freeing;  /* children that give room back */
	struct sk_vet *vets;	     /* the first one is under way */
	uid_t vet_uid;

	/* the machine */
	enum sk_upd_state state;
	struct sk_release *target; /* what is to run; NULL: nothing */
	uint64_t target_generation;
	struct sk_release *good; /* newest good one; NULL: none yet */
	struct sk_want *want;
	size_t n_want;
	char **extra; /* ids of capsules that do not belong, in the order to stop them */
	size_t pos;   /* where the present state is in @extra */
	size_t busy;  /* operations under way in @want */
	bool failing; /* something of the present state did not work */
	bool queued;  /* a step was ready while removals were still under way */
	bool halted;  /* the machine goes down */
	unsigned removing;
	char reason[SK_GEN_REASON_MAX];
	struct sk_gate gate;
	sd_event_source *timer; /* gate or next step */
	sd_event_source *repair;
	uint64_t repair_ms;
	struct sk_engine_watch *watch;
	struct sk_update_news news;
	struct sk_update_waiter *waiters;
	char *running_name;
};

/* release.c: release files */
/** Full check of a file that came from outside: signature, pins, suitability. With the trust that was read last. */
int sk_update_verify(struct sk_update *u, const void *der, size_t len, struct sk_release **ret,
		     struct sk_err *err);
/** What is in a file, without asking who signed it: for one that is known by its id already. */
int sk_update_read(const void *der, size_t len, struct sk_release **ret, struct sk_err *err);
/** From the store; what is in it must hash to its name, so that no signature is needed again. */
int sk_update_load(struct sk_update *u, const struct sk_digest *id, struct sk_release **ret,
		   struct sk_err *err);
/** Both: still in the store and still allowed (revocations, version, expiry) at this moment. */
int sk_update_recheck(struct sk_update *u, const struct sk_digest *id, struct sk_release **ret,
		      struct sk_err *err);

/* facts.c */
bool sk_update_clock_trusted(const struct sk_update *u);
/** Wall clock, or 0 when it is not trusted. */
int64_t sk_update_now_s(const struct sk_update *u);
void sk_update_facts(const struct sk_update *u, struct sk_device_facts *ret);
/** Trust as it is on disk now: roots are changed, and lists put there, without a restart. Until the next call. */
int sk_update_trust(struct sk_update *u, struct sk_err *err);

/* intake.c */
/** sk_update_check() - may this come in? Looks at nothing but @u and the file: a child can do it. */
int sk_update_check(struct sk_update *u, const void *der, size_t len, struct sk_release **ret,
		    struct sk_err *err);
int sk_update_intake(struct sk_update *u, const void *der, size_t len, struct sk_release **ret,
		     struct sk_err *err);
/** Size that releases here claim for an image. "not-found" for one that none of them names. */
int sk_update_claimed(struct sk_update *u, const struct sk_digest *d, uint64_t *ret_size_bytes,
		      struct sk_err *err);
/** sk_update_claim() - adds a manifest's images: digest in hex -> uint64_t, freed by the map */
int sk_update_claim(struct sk_map *claims, const struct sk_manifest *m);
int sk_update_kept_load(struct sk_update *u, struct sk_err *err);
/** The release was applied: its generation keeps it from now on. */
int sk_update_kept_drop(struct sk_update *u, const struct sk_digest *id, struct sk_err *err);
uint64_t sk_update_free_bytes(const struct sk_update *u);

/* collect.c */
/** sk_update_make_room() - as sk_update_collect(), and the room is there on return: for when it is short */
void sk_update_make_room(struct sk_update *u);
/** A child that gives back the room of what was removed: freeing the blocks of a large file takes its time. */
struct sk_freeing {
	struct sk_freeing *next;
	struct sk_update *u;
	struct sk_child *child;
	int gate; /* the child's end; our own end is closed once our descriptors are */
};
void sk_update_freeing_done(struct sk_update *u);

/* vet.c */

/**
 * struct sk_vet_kind - something that a request's body brings
 * @name:  for the log
 * @check: in the child, whose verdict it is
 * @take:  in the daemon, for a body that passed: checks again, keeps, answers
 */
struct sk_vet_kind {
	const char *name;
	int (*check)(struct sk_update *u, const void *data, size_t len, struct sk_err *err);
	int (*take)(struct sk_update *u, struct sk_http_req *req, struct sk_err *err);
};
/** Suspends the request, which is answered when all is done. */
int sk_update_vet(struct sk_update *u, struct sk_http_req *req, const struct sk_vet_kind *kind,
		  struct sk_err *err);
void sk_update_vets_done(struct sk_update *u);

/* plan.c */
int sk_update_plan(struct sk_update *u, struct sk_err *err);
void sk_update_plan_clear(struct sk_update *u);

/* drive.c */
int sk_update_apply(struct sk_update *u, const struct sk_digest *id, uint64_t *ret_generation,
		    struct sk_err *err);
void sk_update_feed(struct sk_update *u, enum sk_upd_event ev);
/** Compare and mend when nothing else is going on, e.g. after a damaged image came back. */
void sk_update_reconcile(struct sk_update *u);
int sk_update_load_target(struct sk_update *u, struct sk_err *err);

/* steps.c: what a state does */
void sk_update_step(struct sk_update *u);	/* carry on with the present state */
void sk_update_step_first(struct sk_update *u); /* a state begins: all of it is to do */
void sk_update_remove_extra(struct sk_update *u);
void sk_update_blame(struct sk_update *u, const char *what, const char *name,
		     const struct sk_err *why);

/* watch.c */
void sk_update_watch(struct sk_update *u);
void sk_update_on_event(void *arg, struct sk_capsule *c, const char *event);
int sk_update_timer(struct sk_update *u, uint64_t in_ms, sd_event_time_handler_t fn);

/* image_config.c */
/** @app's run configuration laid over its image's own defaults; release with sk_run_done(). */
int sk_update_run_config(struct sk_update *u, const struct sk_app *app, struct sk_run *ret,
			 struct sk_err *err);

/* news.c */
void sk_update_publish(struct sk_update *u, const char *step, const struct sk_generation *gen,
		       const char *reason);
/** What the newest generation came to, once nothing is under way. */
void sk_update_publish_outcome(struct sk_update *u);
void sk_update_news_done(struct sk_update *u);
int sk_update_route_news(struct sk_http_req *req, void *arg, struct sk_err *err);
json_t *sk_update_news_json(const struct sk_update *u);

/* upload.c */
int sk_update_upload_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
			  struct sk_err *err);
int sk_update_route_upload(struct sk_http_req *req, void *arg, struct sk_err *err);
bool sk_update_uploading(const struct sk_update *u, const struct sk_digest *d);
void sk_update_uploads_done(struct sk_update *u);

/* logs.c */
int sk_update_route_logs(struct sk_http_req *req, void *arg, struct sk_err *err);

/* missing.c: what generations need and the store has no more, to be fetched again */
json_t *sk_update_missing_images_json(struct sk_update *u);
json_t *sk_update_missing_releases_json(const struct sk_update *u);
/** What generations need is another set now. */
void sk_update_missing_stale(struct sk_update *u);

/* verify.c */
int sk_update_route_verify(struct sk_http_req *req, void *arg, struct sk_err *err);
void sk_update_verify_done(struct sk_update *u);

/* json.c */
json_t *sk_update_release_json(struct sk_update *u, const struct sk_release *r);
json_t *sk_update_image_json(struct sk_update *u, const struct sk_digest *d, uint64_t size_bytes);
json_t *sk_update_generations_json(const struct sk_update *u);
json_t *sk_update_status_json(struct sk_update *u);
