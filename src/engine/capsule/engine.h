/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/digest.h"
#include "base/err.h"
#include "model/manifest.h"
#include "store/store.h"

/*
 * The capsule engine: all capsules of the device, whoever made them (the running release or a
 * user through the Docker API), their life cycle, supervision, health and logs. One event loop; each
 * operation that takes time ends in a callback.
 */
struct sk_engine;
struct sk_capsule;
struct sk_runtime_kind;
struct sk_runtime_limits;
struct sk_runtime_streams;

#define SK_CAPSULES_MAX	   1024
#define SK_CAPSULE_UIDS	   65536u /* host ids of one capsule's user namespace */
#define SK_ENGINE_UIDS_MAX (SK_CAPSULES_MAX * SK_CAPSULE_UIDS)

struct sk_engine_config {
	const char *run_dir;	/* "/run/skerry": mounts, sockets, pid files; gone after a boot */
	const char *state_dir;	/* "/var/lib/skerry/capsules": records, writable layers */
	const char *volume_dir; /* "/var/lib/skerry/volumes": persistent folders by app */
	const char *log_dir;	/* "/var/log/skerry" */
	uint32_t uid_base;	/* first host uid of the capsules' user namespaces */
	uint64_t
		log_max_bytes; /* per capsule and file before it is rotated; one old file is kept */
	bool limits_best_effort; /* start without a limit that this machine cannot enforce */
	/* What this device can run, ended with one whose ops are NULL; engine/runtime/runtime.h */
	const struct sk_runtime_kind *kinds;
};

enum sk_capsule_state {
	SK_CAPSULE_CREATED,  /* has a record; nothing runs */
	SK_CAPSULE_PREPARED, /* mounted and held at its first instruction, so that start is quick */
	SK_CAPSULE_STARTING,
	SK_CAPSULE_RUNNING,
	SK_CAPSULE_STOPPING,
	SK_CAPSULE_EXITED,
	SK_CAPSULE_BACKOFF, /* waits for its restart */
	SK_CAPSULE_FAILED,  /* restarts used up */
	SK_CAPSULE_REMOVING,
};
enum sk_health_state {
	SK_HEALTH_UNKNOWN,
	SK_HEALTH_STARTING,
	SK_HEALTH_HEALTHY,
	SK_HEALTH_UNHEALTHY
};

/**
 * struct sk_capsule_spec - what to create; copied
 * @app:    name, limits, grants, run configuration already merged with the image's
 * @image:  in the store
 * @generation: 0 when a user made it through an API, else the generation it belongs to
 * @labels: "key=value" for the Docker API
 */
struct sk_capsule_spec {
	const struct sk_app *app;
	struct sk_digest image;
	const char *image_name;
	uint64_t generation;
	char *const *labels;
	bool tty, open_stdin;
	bool auto_remove;
};

/** @err is NULL when it worked. Called exactly once, never before the starting call has returned. */
typedef void (*sk_engine_done)(void *arg, const struct sk_err *err);

int sk_engine_new(sd_event *event, struct sk_store *store, const struct sk_engine_config *config,
		  struct sk_engine **ret, struct sk_err *err);
/** Capsules keep running; their monitors are found again by the next sk_engine_new(). */
void sk_engine_free(struct sk_engine *e);
SK_DEFINE_CLEANUP(struct sk_engine, sk_engine_free);

/**
 * sk_engine_halt() - stop all capsules, those that depend on others first, and start none any more
 * For a machine that goes down. The next sk_engine_new() brings back what was running. May be called again.
 */
int sk_engine_halt(struct sk_engine *e, sk_engine_done done, void *arg, struct sk_err *err);

/** What capsules of @kind can be held to on this machine; nothing when there is no such kind. */
void sk_engine_limits(const struct sk_engine *e, enum sk_kind kind, struct sk_runtime_limits *ret);

int sk_engine_create(struct sk_engine *e, const struct sk_capsule_spec *spec,
		     struct sk_capsule **ret, struct sk_err *err);
/** By name, id or unique id prefix. NULL with "not-found" (or "bad-request" when ambiguous). */
struct sk_capsule *sk_engine_find(struct sk_engine *e, const char *ref, struct sk_err *err);
/** Iterate in order of creation; *pos starts at 0; NULL at the end. */
struct sk_capsule *sk_engine_next(struct sk_engine *e, size_t *pos);

int sk_capsule_prepare(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err);
int sk_capsule_start(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err);
/** @grace_ms: UINT64_MAX for the capsule's own; then SIGKILL. A user's stop is not undone by the restart policy. */
int sk_capsule_stop(struct sk_capsule *c, uint64_t grace_ms, sk_engine_done done, void *arg,
		    struct sk_err *err);
/** As a stop with its own grace, but done as soon as none of its processes lives; what it held is
 * given back after that. */
int sk_capsule_end(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err);
int sk_capsule_restart(struct sk_capsule *c, uint64_t grace_ms, sk_engine_done done, void *arg,
		       struct sk_err *err);
int sk_capsule_kill(struct sk_capsule *c, int signal, struct sk_err *err);
/** Streams on a socket; "not-supported" where its kind cannot. See struct sk_runtime_ops. */
int sk_capsule_attach(struct sk_capsule *c, const struct sk_runtime_streams *streams, int *ret_fd,
		      struct sk_err *err);
int sk_capsule_exec_stream(struct sk_capsule *c, char *const *argv,
			   const struct sk_runtime_streams *streams, int *ret_fd,
			   struct sk_err *err);
/** @force: kill it first. Volumes stay. @c is gone once @done is called. */
int sk_capsule_remove(struct sk_capsule *c, bool force, sk_engine_done done, void *arg,
		      struct sk_err *err);

/** struct sk_health_check - the last health check of this run; @end_s is 0 before the first */
struct sk_health_check {
	int64_t start_s, end_s; /* wall clock */
	int exit_code;		/* -1: it did not end in time */
	uint32_t failures;	/* in a row */
};

/** A view for APIs; strings are borrowed until the loop goes on. */
struct sk_capsule_view {
	const char *id; /* 64 hex digits */
	const struct sk_app *app;
	struct sk_digest image;
	const char *image_name;
	uint64_t generation;
	char *const *labels;
	enum sk_capsule_state state;
	enum sk_health_state health;
	const char *health_output; /* of the last check; may be NULL */
	struct sk_health_check health_check;
	unsigned slot; /* small number, names the log file */
	pid_t pid;     /* 0 when nothing runs */
	int exit_code; /* of the last run; 128 + n for a signal */
	bool oom_killed;
	uint32_t restarts;
	int64_t created_s, started_s, finished_s; /* wall clock; 0 when not yet */
	uint64_t started_mono_ms;
	const char *error; /* why it could not start; may be NULL */
	const char *log_path;
	bool tty, open_stdin, auto_remove;
};
void sk_capsule_view(const struct sk_capsule *c, struct sk_capsule_view *ret);
const char *sk_capsule_state_name(enum sk_capsule_state s);

/** Events, for APIs, the update machine and waiters: "create", "start", "die", "stop", "kill", "destroy",
 *  "restart", "oom", "health_status: healthy", "health_status: unhealthy", "failed". */
struct sk_engine_watch;
typedef void (*sk_engine_event_fn)(void *arg, struct sk_capsule *c, const char *event);
int sk_engine_watch(struct sk_engine *e, sk_engine_event_fn fn, void *arg,
		    struct sk_engine_watch **ret);
void sk_engine_unwatch(struct sk_engine_watch *w);

/** Supervision of the running release: replaces what was set before. */
int sk_engine_set_supervision(struct sk_engine *e, const struct sk_manifest *m);
