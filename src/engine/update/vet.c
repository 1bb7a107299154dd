/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/log.h"
#include "engine/update/private.h"

#define VERDICT_MAX 2048u
#define CPU_MAX_S   10
#define MEMORY_MAX  (UINT64_C(1) << 30)
#define WAITING_MAX 16

/*
 * What the link to the hub brings is first looked at by a child without rights: all of the check that
 * follows here, on its own copy. Only what passed there is given to the daemon's own parsers, which
 * check it once more. So neither a parser's mistake nor a file made to take long reaches the loop; what
 * is signed by a key that this device trusts is neither.
 *
 * One at a time, the others wait. A peer that leaves takes its request along.
 */
struct sk_vet {
	struct sk_vet *next;
	struct sk_update *u;
	struct sk_http_req *req;
	const struct sk_vet_kind *kind;
	struct sk_child *child;
};

static void vet_free(struct sk_vet *v)
{
	struct sk_vet **at = &v->u->vets;

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	sk_child_free(v->child);
	free(v);
}

void sk_update_vets_done(struct sk_update *u)
{
	while (u->vets)
		vet_free(u->vets);
}

static int vet_task(void *arg)
{
	const struct sk_vet *v = arg;
	struct sk_err err = SK_ERR_INIT;
	size_t len;
	const char *data = sk_http_body(v->req, &len);

	return v->kind->check(v->u, data, len, &err) < 0 ? sk_task_fail(&err) : 0;
}

static void start_next(struct sk_update *u);

static void end(struct sk_vet *v, int r, const struct sk_err *verdict)
{
	struct sk_update *u = v->u;
	struct sk_http_req *req = v->req;
	const struct sk_vet_kind *kind = v->kind;
	struct sk_err err = *verdict;

	vet_free(v);
	if (r == 0)
		r = kind->take(u, req, &err);
	if (r < 0) {
		sk_notice("%s refused: %s", kind->name, err.text);
		(void)sk_http_reply_err(req, &err);
	}
	start_next(u);
}

static void on_vetted(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_err err = SK_ERR_INIT;
	int r = sk_task_verdict("checking what came", status, out, err_tail, &err);

	end(arg, r, &err);
}

static void start_next(struct sk_update *u)
{
	while (u->vets && !u->vets->child) {
		struct sk_vet *v = u->vets;
		struct sk_err err = SK_ERR_INIT;
		const struct sk_task task = {
			.run = vet_task,
			.arg = v,
			.uid = u->vet_uid,
			.gid = u->vet_uid,
			.confined = true,
			.limit_as_bytes = MEMORY_MAX,
			.limit_cpu_s = CPU_MAX_S,
			.out_max = VERDICT_MAX,
		};

		if (sk_child_task(u->event, &task, on_vetted, v, &v->child, &err) < 0)
			end(v, err.code, &err);
	}
}

static void on_gone(struct sk_http_req *req, void *arg)
{
	struct sk_vet *v = arg;
	struct sk_update *u = v->u;

	vet_free(v);
	start_next(u);
}

int sk_update_vet(struct sk_update *u, struct sk_http_req *req, const struct sk_vet_kind *kind,
		  struct sk_err *err)
{
	struct sk_vet *v, **at = &u->vets;
	size_t waiting = 0;
	int r = sk_update_trust(u, err);

	if (r < 0)
		return r;
	for (; *at; at = &(*at)->next)
		waiting++;
	if (waiting == WAITING_MAX)
		return sk_err_set(err, -EBUSY, "too-many",
				  "%d releases and lists are being checked already; try again",
				  WAITING_MAX);
	v = calloc(1, sizeof(*v));
	if (!v)
		return sk_err_oom(err);
	*v = (struct sk_vet){ .u = u, .req = req, .kind = kind };
	*at = v;
	r = sk_http_suspend(req, UINT64_MAX, on_gone, v);
	if (r < 0) {
		vet_free(v);
		return r;
	}
	start_next(u);
	return 0;
}
