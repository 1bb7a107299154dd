/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/docker/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "io/sys/child.h"

struct removal {
	struct removal *next;
	struct sk_workdirs *w;
	struct sk_child *child;
	char **paths;
};

struct sk_workdirs {
	sd_event *event;
	char *dir;
	struct removal *removals;
};

static void removal_free(struct removal *r)
{
	struct removal **at = &r->w->removals;

	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
	sk_child_free(r->child);
	sk_strv_free(r->paths);
	free(r);
}

static int remove_task(void *arg)
{
	struct removal *r = arg;
	int failed = 0;

	SK_STRV_FOREACH (path, r->paths)
		failed |= sk_rm_rf(AT_FDCWD, *path) < 0;
	return failed;
}

static void on_removed(void *arg, int status, const char *out, const char *err_tail)
{
	struct removal *r = arg;

	/* The next start finds it again. */
	if (status != 0)
		sk_warning("a work folder could not be removed from %s", r->w->dir);
	removal_free(r);
}

/* What cannot be removed now is found at the next start. */
static void remove_all(struct sk_workdirs *w, char **steals_paths)
{
	struct removal *r = calloc(1, sizeof(*r));
	/* What is in there belongs to the task's user. */
	const struct sk_task task = {
		.run = remove_task,
		.arg = r,
		.caps = SK_CAP(CAP_DAC_OVERRIDE) | SK_CAP(CAP_FOWNER),
	};

	if (!r) {
		sk_strv_free(steals_paths);
		return;
	}
	*r = (struct removal){ .next = w->removals, .w = w, .paths = steals_paths };
	w->removals = r;
	if (sk_child_task(w->event, &task, on_removed, r, &r->child, NULL) < 0)
		removal_free(r);
}

/* Only what is there before anything new is made: names are not used twice. */
static int sweep(struct sk_workdirs *w)
{
	_cleanup_strv_ char **paths = NULL;
	DIR *dir = opendir(w->dir);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (e = readdir(dir)))
		if (!sk_streq(e->d_name, ".") && !sk_streq(e->d_name, ".."))
			r = sk_strv_addf(&paths, "%s/%s", w->dir, e->d_name);
	(void)closedir(dir);
	if (r == 0 && paths)
		remove_all(w, TAKE_PTR(paths));
	return r;
}

int sk_workdirs_open(sd_event *event, const char *state_dir, struct sk_workdirs **ret,
		     struct sk_err *err)
{
	struct sk_workdirs *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return sk_err_oom(err);
	w->event = sd_event_ref(event);
	w->dir = sk_asprintf("%s/work", state_dir);
	r = w->dir ? sk_mkdir_p(AT_FDCWD, w->dir, 0700) : -ENOMEM;
	if (r == 0)
		r = sweep(w);
	if (r < 0) {
		sk_workdirs_free(w);
		return sk_err_set(err, r, "io", "cannot use the work folder of %s: %s", state_dir,
				  strerror(-r));
	}
	*ret = w;
	return 0;
}

void sk_workdirs_free(struct sk_workdirs *w)
{
	if (!w)
		return;
	while (w->removals)
		removal_free(w->removals);
	free(w->dir);
	sd_event_unref(w->event);
	free(w);
}

int sk_workdir_make(struct sk_workdirs *w, uid_t uid, char **ret_path, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/XXXXXX", w->dir);

	if (!path)
		return sk_err_oom(err);
	if (!mkdtemp(path))
		return sk_err_set(err, -errno, errno == ENOSPC ? "no-space" : "io",
				  "cannot make a work folder: %s", strerror(errno));
	if (lchown(path, uid, uid) < 0) {
		int code = errno;

		(void)rmdir(path);
		return sk_err_set(err, -code, "io", "cannot hand over a work folder: %s",
				  strerror(code));
	}
	*ret_path = TAKE_PTR(path);
	return 0;
}

void sk_workdir_discard(struct sk_workdirs *w, char *path)
{
	_cleanup_strv_ char **paths = NULL;

	if (path && sk_strv_add(&paths, path) == 0)
		remove_all(w, TAKE_PTR(paths));
	free(path);
}
