/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

int sk_output_failed(const char *path, int r, struct sk_err *err)
{
	const char *slug = r == -ENOSPC || r == -EDQUOT ? "no-space" : "io";

	if (r == -ENOENT)
		return sk_err_set(err, r, "not-found",
				  "cannot write %s: there is no such folder; make it first", path);
	if (r == -EISDIR)
		return sk_err_set(err, r, slug, "cannot write %s: it is a folder; name a file",
				  path);
	return sk_err_set(err, r, slug, "cannot write %s: %s", path, strerror(-r));
}

/* Where the output goes, and whether a file there may be replaced. */
static int look_at_target(struct sk_output *o, const char *path)
{
	struct stat st;

	o->given = path;
	o->replaces = true;
	if (sk_str_ends(path, "/"))
		return -EISDIR;
	if (lstat(path, &st) < 0) {
		o->place = strdup(path);
		return errno != ENOENT ? -errno : o->place ? 0 : -ENOMEM;
	}
	/* For /dev/stdout as a pipe realpath() gives "pipe:[…]", which is no path. */
	if (stat(path, &st) < 0)
		return -errno;
	o->replaces = S_ISREG(st.st_mode);
	o->place = o->replaces ? realpath(path, NULL) : strdup(path);
	if (!o->place)
		return -errno;
	return S_ISDIR(st.st_mode) ? -EISDIR : 0;
}

static int check_folder(const struct sk_output *o)
{
	_cleanup_free_ char *folder = sk_path_folder(o->place);

	if (!folder)
		return -ENOMEM;
	return access(o->replaces ? folder : o->place, W_OK) < 0 ? -errno : 0;
}

int sk_output_check(const char *path, struct sk_err *err)
{
	_cleanup_output_ struct sk_output o = { .fd = -1 };
	int r = look_at_target(&o, path);

	if (r == 0)
		r = check_folder(&o);
	return r < 0 ? sk_output_failed(path, r, err) : 0;
}

/* What Ctrl-C or a lost terminal would leave behind; one at a time is being written. */
static const char *volatile unfinished;
static const int stops[] = { SIGINT, SIGTERM, SIGHUP };

static void end_by(int sig)
{
	if (unfinished)
		(void)unlink(unfinished);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig); /* ends the program once this returns */
}

static void block_stops(sigset_t *before)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		(void)sigaddset(&set, stops[i]);
	(void)sigprocmask(SIG_BLOCK, &set, before);
}

/* A signal that is ignored, or has a handler of the caller's, is left alone. */
static void catch_stops(void)
{
	struct sigaction now;

	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		if (sigaction(stops[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			(void)signal(stops[i], end_by);
}

/* A file of this name was left by a dead process that had the same id. */
static int open_named(struct sk_output *o)
{
	sigset_t before;
	int r;

	block_stops(&before);
	(void)unlink(o->tmp);
	o->fd = open(o->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	r = o->fd < 0 ? -errno : 0;
	if (r == 0) {
		o->named = true;
		unfinished = o->tmp;
		catch_stops();
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

static int open_nameless(struct sk_output *o)
{
	_cleanup_free_ char *folder = sk_path_folder(o->place);

	if (!folder)
		return -ENOMEM;
	o->fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
	if (o->fd >= 0)
		return 0;
	return errno == EOPNOTSUPP || errno == EISDIR ? open_named(o) : -errno;
}

int sk_output_open(struct sk_output *o, const char *path, struct sk_err *err)
{
	int r;

	*o = (struct sk_output){ .fd = -1 };
	r = look_at_target(o, path);
	if (r == 0 && o->replaces) {
		o->tmp = sk_asprintf("%s.tmp-%d", o->place, (int)getpid());
		r = o->tmp ? open_nameless(o) : -ENOMEM;
	} else if (r == 0) {
		o->fd = open(o->place, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		r = o->fd < 0 ? -errno : 0;
	}
	return r < 0 ? sk_output_failed(path, r, err) : 0;
}

static int link_as(const struct sk_output *o, const char *name)
{
	char self[64];

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", o->fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/*
 * A new file gets its name in one step. Only a file that stands there already needs two, since none
 * can be linked over another: a kill that cannot be caught, or a power cut, just between them leaves
 * the whole new one beside the old one. To remove the old one first would be worse: there would be
 * neither for a moment.
 */
static int name_it(struct sk_output *o)
{
	int r = o->named ? -EEXIST : link_as(o, o->place);

	if (r != -EEXIST)
		return r;
	if (!o->named) {
		(void)unlink(o->tmp);
		r = link_as(o, o->tmp);
		if (r < 0)
			return r;
		o->named = true;
	}
	if (rename(o->tmp, o->place) < 0)
		return -errno;
	o->named = false;
	return 0;
}

static int put_in_place(struct sk_output *o)
{
	_cleanup_free_ char *folder = sk_path_folder(o->place);
	sigset_t before;
	int r;

	block_stops(&before);
	r = name_it(o);
	if (o->named)
		(void)unlink(o->tmp);
	o->named = false;
	unfinished = NULL;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		return r;
	return folder ? sk_dir_sync(AT_FDCWD, folder) : -ENOMEM;
}

int sk_output_commit(struct sk_output *o, struct sk_err *err)
{
	int r = 0;

	if (o->replaces)
		r = fsync(o->fd) < 0 ? -errno : put_in_place(o);
	return r < 0 ? sk_output_failed(o->given, r, err) : 0;
}

void sk_output_done(struct sk_output *o)
{
	if (o->named) {
		(void)unlink(o->tmp);
		unfinished = NULL;
	}
	sk_closep(&o->fd);
	free(o->place);
	free(o->tmp);
	*o = (struct sk_output){ .fd = -1 };
}

int sk_output_write(const char *path, const void *data, size_t len, struct sk_err *err)
{
	_cleanup_output_ struct sk_output o = { .fd = -1 };
	int r;

	if (sk_streq(path, "-"))
		return fwrite(data, 1, len, stdout) == len
			       ? 0
			       : sk_err_set(err, -EIO, "io", "cannot write to standard output");
	r = sk_output_open(&o, path, err);
	if (r < 0)
		return r;
	r = sk_fd_write(o.fd, data, len);
	return r < 0 ? sk_output_failed(path, r, err) : sk_output_commit(&o, err);
}
