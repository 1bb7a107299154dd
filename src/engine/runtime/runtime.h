/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "engine/runtime/log.h"
#include "io/sys/child.h"
#include "model/manifest.h"
#include "store/store.h"

/*
 * Kinds of capsules, each a back end behind one table of operations: capsule/ decides when, a kind
 * knows how. main.c registers the kinds; no other file names one. One so far: container/.
 */
struct sk_runtime_unit;
struct sk_runtime_ops;

/** struct sk_runtime_env - what the engine gives to every kind; borrowed */
struct sk_runtime_env {
	sd_event *event;
	struct sk_store *store;
	const char *run_dir, *volume_dir, *log_dir;
	uint32_t uid_base;
	uint64_t log_max_bytes;
	bool limits_best_effort; /* start without a limit that this machine cannot enforce */
};

/** struct sk_runtime - a kind that was opened; @priv is its own */
struct sk_runtime {
	const struct sk_runtime_ops *ops;
	const struct sk_runtime_env *env;
	void *priv;
};

/** struct sk_runtime_kind - a kind as it is registered; @settings: what its open() takes */
struct sk_runtime_kind {
	const struct sk_runtime_ops *ops;
	const void *settings;
};

/** struct sk_runtime_limits - what a kind can hold its units to on this machine */
struct sk_runtime_limits {
	bool memory, swap, cpu, pids;
	unsigned cgroup_version; /* 1 or 2; 0: limited by other means */
};

/** struct sk_runtime_events - how a kind reports, from the event loop; @err is NULL when it worked */
struct sk_runtime_events {
	void (*created)(void *arg, const struct sk_err *err);
	void (*started)(void *arg, const struct sk_err *err);
	void (*died)(void *arg, int exit_code, bool oom_killed);
	void (*cleaned)(void *arg);
};

enum sk_runtime_found {
	SK_RUNTIME_NOTHING,   /* nothing of it is there */
	SK_RUNTIME_LEFTOVERS, /* nothing runs; clean it */
	SK_RUNTIME_PREPARED,  /* adopted */
	SK_RUNTIME_RUNNING,   /* adopted */
	SK_RUNTIME_ENDED,     /* it ended while no daemon ran: clean it */
};

/** struct sk_runtime_streams - which streams of a process a caller asks for */
struct sk_runtime_streams {
	bool tty, in, out, err;
};

/**
 * struct sk_runtime_ops - a kind's operations
 * Those that take time end in one of struct sk_runtime_events, never inside the call. Those below
 * "optional" may be NULL: the kind does not have it, and the caller fails with
 * sk_runtime_unsupported() or goes without.
 */
struct sk_runtime_ops {
	enum sk_kind kind;
	const char *name;   /* as the manifest has it: "container" */
	const char *folder; /* its units' folders are <run_dir>/<folder>/<id> */

	int (*init)(struct sk_runtime_unit *u);
	/** Forget; what runs goes on. */
	void (*done)(struct sk_runtime_unit *u);
	/** Mount and create; ends in created(). What a failure leaves behind is for clean(). */
	int (*prepare)(struct sk_runtime_unit *u, struct sk_err *err);
	/** Ends in started(), then died() some time. */
	int (*start)(struct sk_runtime_unit *u, struct sk_err *err);
	int (*signal)(struct sk_runtime_unit *u, int sig, struct sk_err *err);
	/** Kill what is left, give back all it held; ends in cleaned(). */
	void (*clean)(struct sk_runtime_unit *u);
	/** After a restart of the daemon; may take some ms. @ret_code: with ENDED */
	enum sk_runtime_found (*recover)(struct sk_runtime_unit *u, int *ret_code);

	/* optional, of the kind as a whole */

	/** Check that this machine can run it, and make rt->priv. */
	int (*open)(struct sk_runtime *rt, const void *settings, struct sk_err *err);
	void (*close)(struct sk_runtime *rt);
	void (*limits)(const struct sk_runtime *rt, struct sk_runtime_limits *ret);
	/** Release what is kept for images that @is_used does not name. */
	void (*sweep)(struct sk_runtime *rt,
		      bool (*is_used)(void *arg, const struct sk_digest *image), void *arg);

	/* optional, of a unit */

	/** Run a command inside, to its end; status, bounded output and end as of sk_child_watch(). */
	int (*exec)(struct sk_runtime_unit *u, char *const *argv, uint64_t timeout_ms,
		    sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err);
	/** Kill what exec() started, if it is still there: it took too long. */
	void (*end_exec)(struct sk_runtime_unit *u);
	/**
	 * Run a command inside with its streams on @ret_fd, a SOCK_SEQPACKET socket: what is read begins with
	 * a byte, 1 for standard output, 2 for standard error; what is written is its input.
	 */
	int (*exec_stream)(struct sk_runtime_unit *u, char *const *argv,
			   const struct sk_runtime_streams *streams, int *ret_fd,
			   struct sk_err *err);
	/** The streams of the unit's first process, as exec_stream() has them */
	int (*attach)(struct sk_runtime_unit *u, const struct sk_runtime_streams *streams,
		      int *ret_fd, struct sk_err *err);
	/**
	 * Connect to a TCP port inside. Blocks until @deadline_ms (monotonic): call it in a child, which
	 * needs the capabilities @dial_caps. Return: connected socket, or -errno
	 */
	int (*dial)(const struct sk_runtime_unit *u, uint16_t port, uint64_t deadline_ms,
		    struct sk_err *err);
	uint64_t dial_caps;
	/** Read what the unit wrote; see engine/runtime/log.h. */
	int (*open_log)(const struct sk_runtime_unit *u, const struct sk_log_query *query,
			const struct sk_log_sink *sink, struct sk_log_reader **ret,
			struct sk_err *err);
	/** The log file was moved away: begin a new one. Without this the kind bounds its log itself. */
	void (*reopen_log)(struct sk_runtime_unit *u);
};

/** struct sk_runtime_unit - a capsule as its kind sees it; strings are borrowed from the capsule */
struct sk_runtime_unit {
	const struct sk_runtime *kind;
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

/** Host id of the unit's root. */
static inline uint32_t sk_runtime_uid_base(const struct sk_runtime_unit *u)
{
	return u->kind->env->uid_base + u->slot * 65536u;
}

/** sk_runtime_unsupported() - "not-supported": the unit's kind cannot do @what ("attach to it") */
int sk_runtime_unsupported(const struct sk_runtime_unit *u, const char *what, struct sk_err *err);

#define SK_RUNTIME_KINDS_MAX 4

/** struct sk_runtimes - the kinds of one engine, in the order in which they were registered */
struct sk_runtimes {
	struct sk_runtime v[SK_RUNTIME_KINDS_MAX];
	size_t n;
};

/**
 * sk_runtimes_open() - open every kind; @kinds ends with one whose ops are NULL
 * On failure those that are open already are closed by sk_runtimes_close().
 * Return: 0, or as the kind's open() says
 */
int sk_runtimes_open(struct sk_runtimes *rs, const struct sk_runtime_env *env,
		     const struct sk_runtime_kind *kinds, struct sk_err *err);
void sk_runtimes_close(struct sk_runtimes *rs);

/**
 * sk_runtimes_find() - the kind that runs @app
 * @ret: borrowed; may be NULL to ask only whether there is one
 * Return: 0, or -ENOTSUP ("not-supported"), which names the kinds that there are
 */
int sk_runtimes_find(const struct sk_runtimes *rs, const struct sk_app *app,
		     const struct sk_runtime **ret, struct sk_err *err);
