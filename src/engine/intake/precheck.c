/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/intake/precheck.h"

#include <errno.h>
#include <stdlib.h>

#include "io/sys/child.h"

#define VERDICT_MAX 2048u
#define CPU_MAX_S   10
#define MEMORY_MAX  (UINT64_C(1) << 30)
#define WAITING_MAX 16

struct sk_precheck {
	struct sk_precheck *next;
	struct sk_prechecks *q;
	struct sk_precheck_job job;
	struct sk_child *child;
};

/** struct sk_prechecks - the first of @list is under way */
struct sk_prechecks {
	sd_event *event;
	uid_t uid;
	struct sk_precheck *list;
};

int sk_prechecks_new(sd_event *event, uid_t uid, struct sk_prechecks **ret, struct sk_err *err)
{
	struct sk_prechecks *q = calloc(1, sizeof(*q));

	if (!q)
		return sk_err_oom(err);
	q->event = sd_event_ref(event);
	q->uid = uid;
	*ret = q;
	return 0;
}

static void precheck_free(struct sk_precheck *p)
{
	struct sk_precheck **at = &p->q->list;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (p->child)
		sk_child_free(p->child);
	free(p);
}

void sk_prechecks_free(struct sk_prechecks *q)
{
	if (!q)
		return;
	while (q->list)
		precheck_free(q->list);
	(void)sd_event_unref(q->event);
	free(q);
}

size_t sk_prechecks_len(const struct sk_prechecks *q)
{
	size_t n = 0;

	for (const struct sk_precheck *p = q->list; p; p = p->next)
		n++;
	return n;
}

static int precheck_task(void *arg)
{
	const struct sk_precheck *p = arg;
	struct sk_err err = SK_ERR_INIT;

	return p->job.check(p->job.arg, &err) < 0 ? sk_task_fail(&err) : 0;
}

static void precheck_checked(void *arg, int status, const char *out, const char *err_tail);

static int precheck_child(struct sk_precheck *p, struct sk_err *err)
{
	const struct sk_task task = {
		.run = precheck_task,
		.arg = p,
		.uid = p->q->uid,
		.gid = p->q->uid,
		.confined = true,
		.limit_as_bytes = MEMORY_MAX,
		.limit_cpu_s = CPU_MAX_S,
		.out_max = VERDICT_MAX,
	};

	return sk_child_task(p->q->event, &task, precheck_checked, p, &p->child, err);
}

static void precheck_end(struct sk_precheck *p, int r, const struct sk_err *err)
{
	struct sk_precheck_job job = p->job;

	precheck_free(p);
	job.done(job.arg, r, err);
}

static void prechecks_start_next(struct sk_prechecks *q)
{
	while (q->list && !q->list->child) {
		struct sk_err err = SK_ERR_INIT;
		int r = precheck_child(q->list, &err);

		if (r < 0)
			precheck_end(q->list, r, &err);
	}
}

static void precheck_checked(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_precheck *p = arg;
	struct sk_prechecks *q = p->q;
	struct sk_err err = SK_ERR_INIT;
	int r = sk_task_verdict("checking what came", status, out, err_tail, &err);

	precheck_end(p, r, &err);
	prechecks_start_next(q);
}

int sk_precheck_start(struct sk_prechecks *q, const struct sk_precheck_job *job,
		      struct sk_precheck **ret, struct sk_err *err)
{
	struct sk_precheck *p, **at = &q->list;
	int r;

	if (sk_prechecks_len(q) >= WAITING_MAX)
		return sk_err_set(err, -EBUSY, "too-many",
				  "%d releases and lists are being checked already; try again",
				  WAITING_MAX);
	p = calloc(1, sizeof(*p));
	if (!p)
		return sk_err_oom(err);
	*p = (struct sk_precheck){ .q = q, .job = *job };
	while (*at)
		at = &(*at)->next;
	*at = p;
	r = q->list == p ? precheck_child(p, err) : 0;
	if (r < 0) {
		precheck_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void sk_precheck_cancel(struct sk_precheck *p)
{
	struct sk_prechecks *q = p->q;

	precheck_free(p);
	prechecks_start_next(q);
}
