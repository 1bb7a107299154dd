/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/device.h"
#include "agent/hub.h"

/*
 * A release job: the only work that outlives the agent. What it is about stands in
 * <state_dir>/job.json from its receipt until its end was reported, so that after a kill at any
 * moment it goes on, and what was applied is never applied twice.
 */
#define SK_JOB_ID_MAX 64

struct sk_job {
	char id[SK_JOB_ID_MAX + 1];
	struct sk_digest release;
	uint64_t base_generation; /* the last one before the job: those above may be the job's */
	unsigned mismatches;	  /* images that arrived wrong */
	bool ended;		  /* only the last report is still to be made */
	bool good;
	char reason[512];
	char step[16]; /* last one reported; not on disk */
};

/** 1 with a job, 0 when there is none (a file that is damaged is no job), or -errno. */
int sk_job_load(const char *state_dir, struct sk_job *ret, struct sk_err *err);
int sk_job_save(const char *state_dir, const struct sk_job *job, struct sk_err *err);
int sk_job_clear(const char *state_dir, struct sk_err *err);

/** sk_job_begin() - from the hub's {"id", "kind": "release", "release"}; saved at once. */
int sk_job_begin(const char *state_dir, const json_t *work, struct sk_device_link *device,
		 struct sk_job *ret, struct sk_err *err);

/**
 * sk_job_run() - carry on from wherever it is, to its end
 * Return: 0 when its end was reported and the record is gone; a failure that may pass: call again
 * later, from the same or another process.
 */
int sk_job_run(struct sk_job *job, const char *state_dir, struct sk_hub_link *hub,
	       struct sk_device_link *device, struct sk_err *err);
