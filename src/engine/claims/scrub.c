/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/claims/scrub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "io/sys/child.h"

#define REPORT_MAX (1u << 20)

struct sk_scrub {
	struct sk_store *store;
	struct sk_child *child;
	sk_scrub_done_fn done;
	void *arg;
};

void sk_scrub_free(struct sk_scrub *s)
{
	if (!s)
		return;
	if (s->child)
		sk_child_free(s->child);
	free(s);
}

/* --- in the child --- */

struct counting {
	struct sk_store *store;
	unsigned images, releases;
};

static void print_damaged(const char *kind, const struct sk_digest *d, int r,
			  const struct sk_err *err)
{
	if (r < 0 && sk_err_is(err, "damaged"))
		(void)printf("%s!%s\n", kind, SK_DIGEST_STR(d));
}

static int scrub_image(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	struct counting *c = arg;
	struct sk_err err = SK_ERR_INIT;

	c->images++;
	print_damaged("image", d, sk_store_verify_image(c->store, d, &err), &err);
	return 0;
}

static int scrub_release(void *arg, const struct sk_digest *id, uint64_t size_bytes)
{
	struct counting *c = arg;
	struct sk_err err = SK_ERR_INIT;

	c->releases++;
	print_damaged("release", id, sk_store_verify_release(c->store, id, &err), &err);
	return 0;
}

/* Prints what is damaged, "image!DIGEST", then how many were read, "image=3". */
static int scrub_task(void *arg)
{
	const struct sk_scrub *s = arg;
	struct counting c = { .store = s->store };

	if (sk_store_list(c.store, scrub_image, &c) < 0 ||
	    sk_store_list_releases(c.store, scrub_release, &c) < 0)
		return 1;
	(void)printf("image=%u\nrelease=%u\n", c.images, c.releases);
	return 0;
}

/* --- in the daemon --- */

/* The lines about @kind */
static int scrub_read_lines(char *const *lines, const char *kind, uint64_t *ret_n,
			    char ***ret_damaged)
{
	size_t len = strlen(kind);

	SK_STRV_FOREACH (line, lines) {
		const char *rest = *line + len + 1;

		if (!sk_str_starts(*line, kind))
			continue;
		if ((*line)[len] == '=') {
			(void)sk_parse_u64(rest, ret_n);
			continue;
		}
		sk_warning("%s %s is damaged; it will be fetched again", kind, rest);
		if (sk_strv_add(ret_damaged, rest) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int scrub_read_report(const char *out, struct sk_scrub_report *ret)
{
	_cleanup_strv_ char **lines = NULL;

	if (sk_strv_split(out, '\n', &lines) < 0)
		return -ENOMEM;
	return scrub_read_lines(lines, "image", &ret->images, &ret->damaged_images)
		       ?: scrub_read_lines(lines, "release", &ret->releases,
					   &ret->damaged_releases);
}

static void scrub_done(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_scrub *s = arg;
	struct sk_scrub_report report = { 0 };
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		r = scrub_read_report(out, &report) < 0 ? sk_err_oom(&err) : 0;
	else
		r = sk_err_set(&err, -EIO, "io", "the store could not be read: %s", err_tail);
	s->done(s->arg, r == 0 ? &report : NULL, &err);
	sk_strv_free(report.damaged_images);
	sk_strv_free(report.damaged_releases);
}

int sk_scrub_start(sd_event *event, struct sk_store *store, sk_scrub_done_fn done, void *arg,
		   struct sk_scrub **ret, struct sk_err *err)
{
	_cleanup_(sk_scrub_freep) struct sk_scrub *s = calloc(1, sizeof(*s));
	int fds[SK_STORE_TASK_FDS_MAX];
	struct sk_task task = {
		.run = scrub_task,
		.arg = s,
		.keep_fds = fds,
		.n_keep = sk_store_task_fds(store, NULL, fds),
		.out_max = REPORT_MAX,
	};
	int r;

	if (!s)
		return sk_err_oom(err);
	*s = (struct sk_scrub){ .store = store, .done = done, .arg = arg };
	r = sk_child_task(event, &task, scrub_done, s, &s->child, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}
