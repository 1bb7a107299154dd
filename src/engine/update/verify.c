/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"

#define REPORT_MAX (1u << 20)

/** A check of all images under way, and who asked for it. */
struct verify {
	struct sk_update *u;
	struct sk_http_req *req; /* NULL once the peer went away */
};

struct counting {
	struct sk_store *store;
	unsigned checked;
};

static int check_one(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	struct counting *c = arg;
	struct sk_err err = SK_ERR_INIT;
	int r = sk_store_verify_image(c->store, d, &err);

	c->checked++;
	if (r < 0 && sk_err_is(&err, "damaged"))
		(void)printf("%s\n", SK_DIGEST_STR(d));
	return 0;
}

/* In the child: first the damaged ones, a line each, then the number of all. */
static int verify_task(void *arg)
{
	struct verify *v = arg;
	struct counting c = { .store = v->u->store };
	int r = sk_store_list(c.store, check_one, &c);

	(void)printf("%u\n", c.checked);
	return r < 0 ? 1 : 0;
}

static json_t *report(const char *out)
{
	_cleanup_strv_ char **lines = NULL;
	json_t *damaged = json_array();
	uint64_t checked = 0;

	if (sk_strv_split(out, '\n', &lines) < 0 || !damaged) {
		json_decref(damaged);
		return NULL;
	}
	SK_STRV_FOREACH (line, lines)
		if (sk_parse_u64(*line, &checked) < 0) {
			sk_warning("image %s is damaged; it will be fetched again", *line);
			(void)json_array_append_new(damaged, json_string(*line));
		}
	return json_pack("{s:I, s:o}", "checked", (json_int_t)checked, "damaged", damaged);
}

static void on_done(void *arg, int status, const char *out, const char *err_tail)
{
	struct verify *v = arg;
	struct sk_update *u = v->u;
	struct sk_err err = SK_ERR_INIT;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	json_t *answer = good ? report(out) : NULL;

	sk_child_free(TAKE_PTR(u->verifying));
	if (!answer)
		(void)sk_err_set(&err, -EIO, "io", "the store could not be read: %s", err_tail);
	if (v->req && answer)
		(void)sk_http_reply_json(v->req, 200, TAKE_PTR(answer));
	else if (v->req)
		(void)sk_http_reply_err(v->req, &err);
	json_decref(answer);
	free(v);
}

static void on_gone(struct sk_http_req *req, void *arg)
{
	struct verify *v = arg;

	v->req = NULL;
}

int sk_update_route_verify(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	int fds[SK_STORE_TASK_FDS_MAX];
	struct verify *v;
	struct sk_task task = {
		.run = verify_task,
		.keep_fds = fds,
		.n_keep = sk_store_task_fds(u->store, NULL, fds),
		.out_max = REPORT_MAX,
	};
	int r;

	if (u->verifying)
		return sk_err_set(err, -EBUSY, "in-use", "the store is being checked already");
	v = calloc(1, sizeof(*v));
	if (!v)
		return sk_err_oom(err);
	*v = (struct verify){ u, req };
	task.arg = v;
	r = sk_child_task(u->event, &task, on_done, v, &u->verifying, err);
	if (r < 0) {
		free(v);
		return r;
	}
	/* A child ends in the loop, which is not running now: nothing is lost between. */
	r = sk_http_suspend(req, UINT64_MAX, on_gone, v);
	if (r < 0)
		v->req = NULL;
	return r;
}
