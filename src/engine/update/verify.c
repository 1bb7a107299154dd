/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"
#include "io/json.h"

#define REPORT_MAX (1u << 20)

/** A check of the whole store under way, and who asked for it. */
struct sk_verify {
	struct sk_update *u;
	struct sk_http_req *req; /* NULL once the peer went away */
	struct sk_child *child;
};

void sk_update_verify_done(struct sk_update *u)
{
	struct sk_verify *v = TAKE_PTR(u->verifying);

	if (!v)
		return;
	sk_child_free(v->child);
	free(v);
}

struct counting {
	struct sk_store *store;
	unsigned images, releases;
};

static void tell_damaged(const char *kind, const struct sk_digest *d, int r,
			 const struct sk_err *err)
{
	if (r < 0 && sk_err_is(err, "damaged"))
		(void)printf("%s!%s\n", kind, SK_DIGEST_STR(d));
}

static int check_image(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	struct counting *c = arg;
	struct sk_err err = SK_ERR_INIT;

	c->images++;
	tell_damaged("image", d, sk_store_verify_image(c->store, d, &err), &err);
	return 0;
}

static int check_release(void *arg, const struct sk_digest *id, uint64_t size_bytes)
{
	struct counting *c = arg;
	struct sk_err err = SK_ERR_INIT;

	c->releases++;
	tell_damaged("release", id, sk_store_verify_release(c->store, id, &err), &err);
	return 0;
}

/* In the child: first what is damaged, "image!DIGEST", then how many there are, "image=3". */
static int verify_task(void *arg)
{
	const struct sk_verify *v = arg;
	struct counting c = { .store = v->u->store };
	int r = sk_store_list(c.store, check_image, &c);

	if (r == 0)
		r = sk_store_list_releases(c.store, check_release, &c);
	(void)printf("image=%u\nrelease=%u\n", c.images, c.releases);
	return r < 0 ? 1 : 0;
}

/* {"checked", "damaged"} of the lines about @kind */
static json_t *count_files(char **lines, const char *kind)
{
	json_t *damaged = json_array();
	size_t len = strlen(kind);
	uint64_t checked = 0;

	SK_STRV_FOREACH (line, lines) {
		const char *rest = *line + len + 1;

		if (!sk_str_starts(*line, kind))
			continue;
		if ((*line)[len] == '=') {
			(void)sk_parse_u64(rest, &checked);
			continue;
		}
		sk_warning("%s %s is damaged; it will be fetched again", kind, rest);
		(void)json_array_append_new(damaged, json_string(rest));
	}
	return json_pack("{s:I, s:o}", "checked", (json_int_t)checked, "damaged", damaged);
}

/* Few and small, and what is damaged of them is known here: done in the daemon itself. */
static json_t *check_records(struct sk_update *u)
{
	_cleanup_strv_ char **damaged = NULL;
	struct sk_err err = SK_ERR_INIT;
	int n = sk_generations_verify(u->gens, &damaged, &err);

	if (n < 0)
		sk_error("the records of generations: %s", err.text);
	SK_STRV_FOREACH (name, damaged)
		sk_warning("record %s is damaged", *name);
	return json_pack("{s:i, s:o}", "checked", SK_MAX(n, 0), "damaged", sk_json_strv(damaged));
}

static json_t *report(struct sk_update *u, const char *out)
{
	_cleanup_strv_ char **lines = NULL;
	json_t *j;

	if (sk_strv_split(out, '\n', &lines) < 0)
		return NULL;
	j = count_files(lines, "image");
	if (j && (json_object_set_new(j, "releases", count_files(lines, "release")) < 0 ||
		  json_object_set_new(j, "records", check_records(u)) < 0)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static void on_done(void *arg, int status, const char *out, const char *err_tail)
{
	const struct sk_verify *v = arg;
	struct sk_update *u = v->u;
	struct sk_http_req *req = v->req;
	struct sk_err err = SK_ERR_INIT;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	json_t *answer = good ? report(u, out) : NULL;

	if (!answer)
		(void)sk_err_set(&err, -EIO, "io", "the store could not be read: %s", err_tail);
	sk_update_verify_done(u);
	if (req && answer)
		(void)sk_http_reply_json(req, 200, TAKE_PTR(answer));
	else if (req)
		(void)sk_http_reply_err(req, &err);
	json_decref(answer);
}

static void on_gone(struct sk_http_req *req, void *arg)
{
	struct sk_verify *v = arg;

	v->req = NULL;
}

int sk_update_route_verify(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	int fds[SK_STORE_TASK_FDS_MAX];
	struct sk_verify *v;
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
	*v = (struct sk_verify){ .u = u, .req = req };
	u->verifying = v;
	task.arg = v;
	r = sk_child_task(u->event, &task, on_done, v, &v->child, err);
	if (r < 0) {
		sk_update_verify_done(u);
		return r;
	}
	/* A child ends in the loop, which is not running now: nothing is lost between. */
	r = sk_http_suspend(req, UINT64_MAX, on_gone, v);
	if (r < 0)
		v->req = NULL;
	return r;
}
