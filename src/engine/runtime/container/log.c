/* SPDX-License-Identifier: Apache-2.0 */

/* Reading what conmon wrote: a container's log, over rotations, from oldest to newest. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/kind.h"
#include "engine/runtime/container/log_line.h"

#define CHUNK	   65536 /* the monitor's lines are at most 8 KiB of text */
#define LINES_A_GO 512	 /* before the loop gets its turn */

/**
 * struct log_reader - an open log
 * @old_fd: the rotated file, until it is read; @fd: the present one, -1 when there is none (yet)
 * @buf:    bytes read and not yet handed on, @used of them
 * @skip:   in the middle of a line that is too long to be one of the monitor's
 */
struct log_reader {
	struct sk_log_reader base;
	sd_event *event;
	char *path, *name;
	struct sk_log_query query;
	struct sk_log_sink sink;
	int old_fd, fd;
	char buf[CHUNK];
	size_t used, at;
	bool skip, paused, over, switching, unreadable;
	sd_event_source *work, *inotify;
};

static void reader_close(struct sk_log_reader *base)
{
	struct log_reader *l = (struct log_reader *)base;

	sd_event_source_disable_unref(l->work);
	sd_event_source_disable_unref(l->inotify);
	sk_closep(&l->old_fd);
	sk_closep(&l->fd);
	free(l->path);
	free(l->name);
	sd_event_unref(l->event);
	free(l);
}

static void reader_poke(struct sk_log_reader *base)
{
	struct log_reader *l = (struct log_reader *)base;

	if (!l->paused && !l->over)
		(void)sd_event_source_set_enabled(l->work, SD_EVENT_ON);
}

static void reader_resume(struct sk_log_reader *base)
{
	((struct log_reader *)base)->paused = false;
	reader_poke(base);
}

static const struct sk_log_reader_ops reader_ops = { reader_resume, reader_poke, reader_close };

static bool is_asked_for(const struct log_reader *l, const struct sk_log_line *line)
{
	if (line->stream == 1 ? !l->query.stdout_ : !l->query.stderr_)
		return false;
	if (l->query.since_s && line->time_s < l->query.since_s)
		return false;
	return !l->query.until_s || line->time_s <= l->query.until_s;
}

/* Hand on the whole lines in the buffer. Return: false when paused, or when it is the loop's turn */
static bool hand_on_lines(struct log_reader *l)
{
	for (int i = 0; i < LINES_A_GO; i++) {
		const char *from = l->buf + l->at;
		const char *nl = memchr(from, '\n', l->used - l->at);
		struct sk_log_line line;
		bool skipped = l->skip;
		size_t len;

		if (!nl)
			return true;
		len = (size_t)(nl - from) + 1;
		l->at += len;
		l->skip = false;
		if (skipped || sk_log_line_parse(from, len, &line) < 0 || !is_asked_for(l, &line))
			continue;
		if (l->sink.line(l->sink.arg, &line) != 0) {
			l->paused = true;
			return false;
		}
	}
	return false;
}

/* Return: bytes read, 0 at the end of the file */
static size_t log_fill(struct log_reader *l, int fd)
{
	ssize_t n;

	memmove(l->buf, l->buf + l->at, l->used - l->at);
	l->used -= l->at;
	l->at = 0;
	if (l->used == sizeof(l->buf)) {
		/* No line of the monitor's: leave it out up to its end. */
		l->skip = true;
		l->used = 0;
	}
	do {
		n = read(fd, l->buf + l->used, sizeof(l->buf) - l->used);
	} while (n < 0 && errno == EINTR);
	l->used += n > 0 ? (size_t)n : 0;
	return n > 0 ? (size_t)n : 0;
}

/* Has the present file been rotated away? Then there is another by its name. */
static bool rotated(const struct log_reader *l)
{
	struct stat here, there;

	if (l->unreadable || lstat(l->path, &there) < 0 || !S_ISREG(there.st_mode))
		return false;
	return l->fd < 0 || fstat(l->fd, &here) < 0 || here.st_ino != there.st_ino ||
	       here.st_dev != there.st_dev;
}

static void open_present(struct log_reader *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	/* It may be gone again; anything else would fail for ever. */
	l->unreadable = l->fd < 0 && errno != ENOENT;
	/* Half a line at the end of a file stays half. */
	l->used = l->at = 0;
	l->skip = false;
}

static bool log_has_ended(const struct log_reader *l)
{
	if (!l->query.follow || (l->query.until_s && sk_wall_s() > l->query.until_s))
		return true;
	return l->sink.is_over(l->sink.arg);
}

static void log_finish(struct log_reader *l)
{
	l->over = true;
	(void)sd_event_source_set_enabled(l->work, SD_EVENT_OFF);
	l->sink.end(l->sink.arg); /* may close it */
}

/* Nothing more to read now: another file, the end, or wait */
static void at_end(struct log_reader *l)
{
	bool ended;

	if (l->old_fd >= 0) {
		(void)close(l->old_fd);
		l->old_fd = -1;
		l->used = l->at = 0;
		return;
	}
	/* Looked at before the last read, so that nothing written before the end is missed. */
	ended = log_has_ended(l);
	if (rotated(l)) {
		/* Once more: it may have grown before the new one was made. */
		if (!l->switching && l->fd >= 0) {
			l->switching = true;
			return;
		}
		l->switching = false;
		open_present(l);
		return;
	}
	if (!ended) {
		(void)sd_event_source_set_enabled(l->work, SD_EVENT_OFF);
		return;
	}
	if (!l->switching) {
		l->switching = true;
		return;
	}
	log_finish(l);
}

static int on_work(sd_event_source *s, void *arg)
{
	struct log_reader *l = arg;
	int fd = l->old_fd >= 0 ? l->old_fd : l->fd;

	if (l->paused) {
		(void)sd_event_source_set_enabled(l->work, SD_EVENT_OFF);
		return 0;
	}
	if (!hand_on_lines(l))
		return 0;
	if (fd >= 0 && log_fill(l, fd) > 0)
		l->switching = false;
	else
		at_end(l);
	return 0;
}

static int on_inotify(sd_event_source *s, const struct inotify_event *ev, void *arg)
{
	struct log_reader *l = arg;

	if (ev->len == 0 || sk_streq(ev->name, l->name))
		reader_poke(&l->base);
	return 0;
}

/* Where the last @lines of @fd begin; *lines is lowered by those that are found */
static off_t tail_offset(int fd, int64_t *lines)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char chunk[16384];

	while (end > 0) {
		off_t from = end > (off_t)sizeof(chunk) ? end - (off_t)sizeof(chunk) : 0;
		ssize_t n = pread(fd, chunk, (size_t)(end - from), from);

		if (n <= 0)
			return 0;
		while (n-- > 0) {
			/* The newline before the first line of the tail is the last one to look at. */
			if (chunk[n] != '\n')
				continue;
			if (*lines == 0)
				return from + n + 1;
			(*lines)--;
		}
		end = from;
	}
	return 0;
}

static void seek_tail(struct log_reader *l)
{
	int64_t left = l->query.tail;

	if (left < 0)
		return;
	if (l->fd >= 0)
		(void)lseek(l->fd, tail_offset(l->fd, &left), SEEK_SET);
	if (l->old_fd < 0)
		return;
	if (left > 0) {
		(void)lseek(l->old_fd, tail_offset(l->old_fd, &left), SEEK_SET);
		return;
	}
	(void)close(l->old_fd);
	l->old_fd = -1;
}

static int open_files(struct log_reader *l, const char *log_path)
{
	_cleanup_free_ char *old = sk_asprintf("%s.1", log_path);

	l->path = strdup(log_path);
	l->name = strdup(strrchr(log_path, '/') + 1);
	if (!l->path || !l->name || !old)
		return -ENOMEM;
	l->old_fd = open(old, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	l->fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	seek_tail(l);
	return 0;
}

static int log_begin(struct log_reader *l, const char *log_dir)
{
	int r = sd_event_add_defer(l->event, &l->work, on_work, l);

	if (r >= 0)
		r = sd_event_source_set_enabled(l->work, SD_EVENT_ON);
	if (r < 0 || !l->query.follow)
		return r < 0 ? r : 0;
	r = sd_event_add_inotify(l->event, &l->inotify, log_dir,
				 IN_MODIFY | IN_CREATE | IN_MOVED_TO, on_inotify, l);
	return r < 0 ? r : 0;
}

int sk_container_open_log(const struct sk_runtime_unit *u, const struct sk_log_query *query,
			  const struct sk_log_sink *sink, struct sk_log_reader **ret,
			  struct sk_err *err)
{
	struct log_reader *l = malloc(sizeof(*l));
	int r;

	if (!l)
		return sk_err_oom(err);
	/* All but the buffer, whose pages are touched only once they are read into. */
	memset(l, 0, offsetof(struct log_reader, buf));
	memset(&l->used, 0, sizeof(*l) - offsetof(struct log_reader, used));
	l->base.ops = &reader_ops;
	l->event = sd_event_ref(u->kind->env->event);
	l->query = *query;
	l->sink = *sink;
	l->old_fd = l->fd = -1;
	r = open_files(l, u->log_path);
	r = r ?: log_begin(l, u->kind->env->log_dir);
	if (r < 0) {
		reader_close(&l->base);
		return sk_err_set(err, r, "io", "cannot read the log of %s: %s", u->app->name,
				  strerror(-r));
	}
	*ret = &l->base;
	return 0;
}
