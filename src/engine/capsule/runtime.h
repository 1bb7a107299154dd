/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "engine/capsule/cgroup.h"
#include "io/sys/child.h"
#include "model/manifest.h"
#include "store/store.h"

/*
 * A kind of capsule behind one table of operations. The engine knows when, a runtime knows how.
 * One back end so far: containers over crun and conmon (crun.c). Each operation that takes time
 * ends in one of struct sk_runtime_events, from the event loop, never inside the call.
 */
struct sk_runtime_unit;

/** struct sk_runtime_env - what all capsules of an engine share; borrowed */
struct sk_runtime_env {
	sd_event *event;
	struct sk_store *store;
	const char *run_dir, *volume_dir;
	const char *crun, *conmon; /* absolute paths */
	uint32_t uid_base;
	uint64_t log_max_bytes;
	bool limits_best_effort, device_rules;
	bool spared; /* the kernel spares this process when memory is short; its children it must not */
	struct sk_cgroup cgroup;
};

/** struct sk_runtime_events - how a runtime tells; @err is NULL when it worked */
struct sk_runtime_events {
	void (*created)(void *arg, const struct sk_err *err);
	void (*started)(void *arg, const struct sk_err *err);
	void (*died)(void *arg, int exit_code, bool oom_killed);
	void (*cleaned)(void *arg);
};

enum sk_runtime_found {
	SK_RUNTIME_NOTHING,  /* nothing of it is there */
	SK_RUNTIME_RESTS,    /* nothing runs; clean it */
	SK_RUNTIME_PREPARED, /* adopted */
	SK_RUNTIME_RUNNING,  /* adopted */
	SK_RUNTIME_ENDED,    /* it ended while nobody looked: clean it */
};

struct sk_runtime_ops {
	const char *name;
	int (*attach)(struct sk_runtime_unit *u);
	/** Forget; what runs goes on. */
	void (*detach)(struct sk_runtime_unit *u);
	/** Mount and create; ends in created(). Failing leaves rests for clean(). */
	int (*prepare)(struct sk_runtime_unit *u, struct sk_err *err);
	/** Ends in started(), then died() some time. */
	int (*start)(struct sk_runtime_unit *u, struct sk_err *err);
	int (*signal)(struct sk_runtime_unit *u, int sig, struct sk_err *err);
	/** Kill what is left, give back all it held; ends in cleaned(). */
	void (*clean)(struct sk_runtime_unit *u);
	/** After a restart of the daemon; may take some ms. @ret_code: with ENDED */
	enum sk_runtime_found (*recover)(struct sk_runtime_unit *u, int *ret_code);
	/** Run a command inside; status, output and end as sk_child_watch() tells. */
	int (*exec)(struct sk_runtime_unit *u, char *const *argv, uint64_t timeout_ms,
		    sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err);
	/** Kill what exec() started, if it is still there: it took too long. */
	void (*end_exec)(struct sk_runtime_unit *u);
	/** The log file was moved away: begin a new one. */
	void (*reopen_log)(struct sk_runtime_unit *u);
};

/** struct sk_runtime_unit - a capsule as its runtime sees it; strings are borrowed from the capsule */
struct sk_runtime_unit {
	const struct sk_runtime_ops *ops;
	const struct sk_runtime_env *env;
	const struct sk_runtime_events *events;
	void *arg; /* of the events */
	const char *id, *dir, *upper_dir, *log_path;
	const struct sk_app *app;
	struct sk_digest image;
	unsigned slot;
	bool user_made, tty, open_stdin;
	bool lost; /* died without its monitor: processes may live until it is cleaned */
	pid_t pid; /* of its first process; 0 when there is none */
	void *priv;
};

extern const struct sk_runtime_ops sk_runtime_crun;

/** Host id of the capsule's root. */
static inline uint32_t sk_runtime_uid_base(const struct sk_runtime_unit *u)
{
	return u->env->uid_base + u->slot * 65536u;
}
