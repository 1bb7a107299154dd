/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"

#define ROTATE_EVERY_MS 5000

static void rotate(struct sk_capsule *c)
{
	char old[PATH_MAX];
	struct stat st;

	if (!c->unit.kind->ops->reopen_log || stat(c->log_path, &st) < 0 ||
	    (uint64_t)st.st_size < c->e->log_max_bytes)
		return;
	if (snprintf(old, sizeof(old), "%s.1", c->log_path) >= (int)sizeof(old))
		return;
	if (rename(c->log_path, old) < 0) {
		sk_warning("cannot rotate %s: %s", c->log_path, strerror(errno));
		return;
	}
	/* Until the monitor has opened the new one it goes on in the old one: nothing is lost. */
	c->unit.kind->ops->reopen_log(&c->unit);
}

static int on_rotate(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_engine *e = arg;

	for (size_t i = 0; i < e->n; i++)
		if (sk_cap_live(e->v[i]->state))
			rotate(e->v[i]);
	(void)sd_event_source_set_time_relative(s, ROTATE_EVERY_MS * 1000);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

int sk_log_rotate_start(struct sk_engine *e)
{
	/* A second of slack: the timer needs not wake an idle device by itself. */
	int r = sd_event_add_time_relative(e->event, &e->log_timer, CLOCK_MONOTONIC,
					   ROTATE_EVERY_MS * 1000, 1000000, on_rotate, e);

	return SK_MIN(r, 0);
}

void sk_log_remove(const char *log_path)
{
	char old[PATH_MAX];

	(void)unlink(log_path);
	if (snprintf(old, sizeof(old), "%s.1", log_path) < (int)sizeof(old))
		(void)unlink(old);
}

void sk_log_observe(struct sk_capsule *c, const struct sk_capsule_change *change)
{
	if (change->what == SK_CHANGE_REMOVED)
		sk_log_remove(c->log_path);
}

/* "12.log" or "12.log.1" */
static bool is_slot_log(const char *name, unsigned *ret_slot)
{
	char number[16];
	size_t n = strspn(name, "0123456789");

	if (n == 0 || n >= sizeof(number) ||
	    (!sk_streq(name + n, ".log") && !sk_streq(name + n, ".log.1")))
		return false;
	memcpy(number, name, n);
	number[n] = '\0';
	return sk_parse_u32(number, ret_slot) == 0;
}

static bool kept(const struct sk_engine *e, unsigned slot)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->v[i]->slot == slot)
			return e->v[i]->app.keep_logs;
	return false;
}

void sk_log_clear(struct sk_engine *e)
{
	_cleanup_free_ char *mark = sk_asprintf("%s/booted", e->run_dir);
	_cleanup_close_ int fd = -1;
	struct dirent *d;
	DIR *dir;

	/* The run folder is empty after a boot, so the mark is new then. */
	fd = mark ? open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	dir = opendir(e->log_dir);
	while (dir && (d = readdir(dir))) {
		unsigned slot;

		if (is_slot_log(d->d_name, &slot) && !kept(e, slot))
			(void)unlinkat(dirfd(dir), d->d_name, 0);
	}
	if (dir)
		(void)closedir(dir);
}
