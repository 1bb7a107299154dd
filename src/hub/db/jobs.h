/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/db.h"

/*
 * Jobs: what a device is asked to do. States, and what moves between them: hub/domain/job.h.
 * A device has at most one open release job; the database itself refuses a second.
 */
struct sk_job {
	int64_t id;
	int64_t org;
	int64_t device;
	char uid[24];
	char kind[16];
	char state[16];
	bool open;
	char release[SK_DIGEST_HEX + 1]; /* "" for other kinds */
	char version[SK_NAME_MAX + 1];
	uint64_t bytes_done, bytes_total;
};

/** A release job for each accepted device of a deployment, in one statement. */
struct sk_job_rollout {
	int64_t org, deployment, rollout, release;
	bool again; /* also for devices that run the release already */
	const char *by;
};

struct sk_job_new {
	int64_t org, device;
	const char *kind;
	int64_t release; /* for "release" */
	int64_t deployment, rollout;
	const char *params; /* JSON text for "logs" */
	const char *by;
};

/** Of a device, of a deployment's roll-out, or (0) any; in a state, or (NULL) any. */
struct sk_job_filter {
	int64_t device;
	int64_t deployment, rollout;
	const char *state;
};

struct sk_job_repo {
	/** End the devices' open release jobs as superseded, add new ones. Number added. */
	int (*rollout)(struct sk_conn *c, const struct sk_job_rollout *n, struct sk_err *err);
	/** One job; an open release job of the device is superseded by a new one. */
	int (*add)(struct sk_conn *c, const struct sk_job_new *n, int64_t *ret_id,
		   struct sk_err *err);
	int (*count_open)(struct sk_conn *c, int64_t device, int64_t *ret, struct sk_err *err);
	/**
	 * What the device shall do: {id, kind, ...}, or *ret = NULL
	 * @except: public id of a job that the device works on already; may be NULL
	 */
	int (*next)(struct sk_conn *c, int64_t device, const char *except, json_t **ret,
		    struct sk_err *err);
	/** 1, 0. By its organisation, or by its device. */
	int (*find)(struct sk_conn *c, int64_t org, const char *uid, struct sk_job *ret,
		    struct sk_err *err);
	int (*of_device)(struct sk_conn *c, int64_t device, const char *uid, struct sk_job *ret,
			 struct sk_err *err);
	/** Write state, openness and bytes back; adds to the history when @event. */
	int (*save)(struct sk_conn *c, const struct sk_job *j, const char *reason, bool event,
		    struct sk_err *err);
	/** What a device said of a job that had ended; once for each @step. */
	int (*add_event)(struct sk_conn *c, const struct sk_job *j, const char *step,
			 const char *reason, struct sk_err *err);
	/**
	 * Why the device may not fetch a release, or an image, that it was given once
	 * @digest: of either
	 * 1 with *ret_reason, owned by the caller; 0 when no job of it was taken back
	 */
	int (*revoked_reason)(struct sk_conn *c, int64_t device, const char *digest,
			      char **ret_reason, struct sk_err *err);
	/** 1 when the device's last release job did not end well, or not yet: which
	 *  release it runs is not known for sure. */
	int (*last_not_done)(struct sk_conn *c, int64_t device, struct sk_err *err);
	/** Every open job of that roll-out. Number ended. */
	int (*abort_rollout)(struct sk_conn *c, int64_t deployment, const char *reason,
			     struct sk_err *err);
	/** Every open job of a device. */
	int (*abort_device)(struct sk_conn *c, int64_t device, const char *reason,
			    struct sk_err *err);
	/** Newest first. */
	int (*list)(struct sk_conn *c, int64_t org, const struct sk_job_filter *f,
		    const struct sk_page *p, json_t **ret, struct sk_err *err);
	/** With its history. */
	int (*show)(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
};
