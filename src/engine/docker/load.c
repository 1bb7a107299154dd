/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/docker/docker.h"
#include "engine/docker/workdir.h"
#include "io/json.h"
#include "io/sys/child.h"
#include "io/sys/program.h"

#define OUT_MAX	   (64 * 1024)
#define BUFFER_MAX (64 * 1024)
#define TAGS_MAX   64
/* At a time; others wait with their body not taken. Each has a user of its own. */
#define LOADS_MAX   2
#define BUSY_MS	    100
#define CPU_MAX_S   3600
#define MEMORY_MAX  (sizeof(void *) > 4 ? UINT64_C(4) << 30 : UINT64_C(2) << 30)
#define SPOOL_PARTS 2 /* as much as the archive may be larger than what comes out of it */

/*
 * POST /images/load: an archive of `docker save` becomes a capsule image. The body goes through a pipe to
 * a confined child, which unpacks it and packs an image; a second one, which sees nothing but bytes to
 * hash, copies that into the store; then it gets the archive's names. The loop itself touches no file
 * of it. Cut off anywhere, nothing of it is left.
 *
 * Whoever leaves before the store has begun ends the load.
 */
struct load {
	struct load *next;
	struct sk_daemon *d;
	unsigned slot;
	struct sk_http_req *req;       /* until all of the body is here */
	struct sk_http_stream *stream; /* from then on; NULL when the client has left */
	char *work_dir;
	int image_fd, pipe_fd;
	int archive_fd, program_fd; /* what the first child is given */
	struct sk_buf unsent;	    /* of the body: the pipe was full */
	sd_event_source *writable, *busy;
	struct sk_child *child;
	bool unpacked; /* the first child is done: */
	char **names;
	bool failed;
	struct sk_err err;
	struct sk_digest digest;
	uint64_t size;
	struct sk_staged *staged; /* in the hands of the second child */
};

struct sk_docker_loads {
	struct sk_daemon *d;
	struct load *all; /* in the order in which they came */
};

int sk_docker_loads_new(struct sk_daemon *d, struct sk_docker_loads **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->d = d;
	return 0;
}

static bool is_running(const struct load *l)
{
	return l->work_dir != NULL;
}

/* Return: LOADS_MAX when there is none */
static unsigned load_free_slot(const struct sk_docker_loads *all)
{
	bool taken[LOADS_MAX] = { false };
	unsigned slot = 0;

	for (const struct load *l = all->all; l; l = l->next)
		if (is_running(l))
			taken[l->slot] = true;
	while (slot < LOADS_MAX && taken[slot])
		slot++;
	return slot;
}

static void wake_next(struct sk_docker_loads *all)
{
	for (struct load *l = all->all; l; l = l->next)
		if (!is_running(l) && !l->failed && l->req) {
			sk_http_body_more(l->req);
			return;
		}
}

static void load_drop_fd(int *fd)
{
	sk_closep(fd);
	*fd = -1;
}

static void close_pipe(struct load *l)
{
	l->writable = sd_event_source_disable_unref(l->writable);
	load_drop_fd(&l->pipe_fd);
	sk_buf_done(&l->unsent);
}

static void load_free(void *arg)
{
	struct load *l = arg, **at = &l->d->loads->all;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	sk_child_free(l->child);
	close_pipe(l);
	sd_event_source_disable_unref(l->busy);
	sk_closep(&l->image_fd);
	if (l->staged)
		sk_staged_drop(l->staged);
	if (l->work_dir)
		sk_workdir_discard(l->d->workdirs, l->work_dir);
	sk_strv_free(l->names);
	wake_next(l->d->loads);
	free(l);
}

void sk_docker_loads_free(struct sk_docker_loads *all)
{
	while (all && all->all)
		load_free(all->all);
	free(all);
}

static void say(struct load *l, json_t *steals)
{
	_cleanup_free_ char *text = steals ? json_dumps(steals, JSON_COMPACT) : NULL;

	if (text && l->stream) {
		(void)sk_http_stream_write(l->stream, text, strlen(text));
		(void)sk_http_stream_write(l->stream, "\r\n", 2);
	}
	json_decref(steals);
}

static void load_end(struct load *l)
{
	if (l->stream)
		sk_http_stream_end(l->stream);
	load_free(l);
}

/* While the body still comes, its next piece is answered with the failure. */
static void load_fail(struct load *l, const struct sk_err *err)
{
	sk_notice("an image was not loaded: %s", err->text);
	l->failed = true;
	l->err = *err;
	close_pipe(l);
	if (l->req) {
		sk_http_body_more(l->req);
		return;
	}
	say(l,
	    json_pack("{s:{s:s}, s:s}", "errorDetail", "message", err->text, "error", err->text));
	load_end(l);
}

/* --- second: into the store --- */

static int name_image(struct load *l, struct sk_err *err)
{
	int r = 0;

	SK_STRV_FOREACH (name, l->names) {
		r = r < 0 ? r : sk_names_set(l->d->names, *name, &l->digest, err);
		if (r == 0)
			say(l, json_pack("{s:o}", "stream",
					 json_sprintf("Loaded image: %s\n", *name)));
	}
	return r;
}

static void load_finish(struct load *l)
{
	struct sk_err err = SK_ERR_INIT;

	if (name_image(l, &err) < 0)
		load_fail(l, &err);
	else
		load_end(l);
}

static int store_task(void *arg)
{
	struct load *l = arg;
	struct sk_err err = SK_ERR_INIT;
	int r = 0;

	if (lseek(l->image_fd, 0, SEEK_SET) < 0)
		r = sk_err_set(&err, -errno, "io", "cannot read the new image");
	r = r < 0 ? r : sk_staged_fill(l->staged, l->image_fd, &err);
	r = r < 0 ? r : sk_staged_commit(l->staged, &err);
	return r < 0 ? sk_task_fail(&err) : 0;
}

static void on_stored(void *arg, int status, const char *out, const char *err_tail)
{
	struct load *l = arg;
	struct sk_err err = SK_ERR_INIT;
	int r = sk_task_verdict("storing the image", status, out, err_tail, &err);

	sk_child_free(TAKE_PTR(l->child));
	sk_staged_drop(TAKE_PTR(l->staged));
	if (r == 0 && !sk_store_has(l->d->store, &l->digest))
		r = sk_err_set(&err, -EIO, "io", "the image could not be stored");
	if (r < 0)
		load_fail(l, &err);
	else
		load_finish(l);
}

static int store_in_child(struct load *l, struct sk_err *err)
{
	int fds[SK_STORE_TASK_FDS_MAX + 1];
	/* No fs-verity: it protects against later writes, and this file cannot be written any more. */
	struct sk_task task = {
		.run = store_task,
		.arg = l,
		.keep_fds = fds,
		.caps = SK_CAP(CAP_DAC_OVERRIDE),
		.out_max = OUT_MAX,
	};
	int r = sk_staged_open(l->d->store, &l->digest, l->size, &l->staged, err);

	if (r < 0)
		return r;
	task.n_keep = sk_store_task_fds(l->d->store, l->staged, fds);
	fds[task.n_keep++] = l->image_fd;
	r = sk_child_task(l->d->event, &task, on_stored, l, &l->child, err);
	if (r == 0)
		sk_staged_lend(l->staged);
	return r;
}

static int on_no_longer_busy(sd_event_source *s, uint64_t usec, void *arg);

/* Somebody else brings the same image just now: wait for him. */
static int wait_while_busy(struct load *l)
{
	l->busy = sd_event_source_disable_unref(l->busy);
	return sd_event_add_time_relative(l->d->event, &l->busy, CLOCK_MONOTONIC, BUSY_MS * 1000, 0,
					  on_no_longer_busy, l);
}

static void store(struct load *l)
{
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (sk_store_has(l->d->store, &l->digest)) {
		load_finish(l);
		return;
	}
	r = store_in_child(l, &err);
	if (r == -EBUSY && wait_while_busy(l) >= 0)
		return;
	if (r < 0)
		load_fail(l, &err);
}

static int on_no_longer_busy(sd_event_source *s, uint64_t usec, void *arg)
{
	store(arg);
	return 0;
}

/* --- first: unpacked by a child that may do nothing else --- */

/* Checked before anything is stored: without a valid name an image could not be used or removed. */
static int read_names(struct load *l, const json_t *found, struct sk_err *err)
{
	_cleanup_strv_ char **tags = NULL;
	int r = sk_json_get_strv(found, "tags", TAGS_MAX, &tags, err);

	if (r == 0 && sk_strv_len(tags) == 0)
		r = sk_strv_addf(&tags, "loaded:%.12s", SK_DIGEST_STR(&l->digest));
	SK_STRV_FOREACH (t, tags) {
		char name[SK_IMAGE_NAME_MAX + 1];

		r = r < 0 ? r : sk_names_normal(*t, name, err);
		if (r == 0 && sk_strv_add(&l->names, name) < 0)
			r = sk_err_oom(err);
	}
	return r;
}

static int read_found(struct load *l, const char *text, struct sk_err *err)
{
	_cleanup_json_ json_t *found = NULL;
	int r = sk_json_parse(text, strlen(text), &found, err);

	r = r < 0 ? r : sk_json_need_digest(found, "digest", &l->digest, err);
	r = r < 0 ? r : sk_json_get_u64(found, "size", &l->size, err);
	return r < 0 ? r : read_names(l, found, err);
}

static void on_unpacked(void *arg, int status, const char *out, const char *err_tail)
{
	struct load *l = arg;
	struct sk_err err = SK_ERR_INIT;
	int r = sk_task_verdict("unpacking the archive", status, out, err_tail, &err);

	sk_child_free(TAKE_PTR(l->child));
	if (r == 0)
		r = read_found(l, out, &err);
	if (r < 0) {
		load_fail(l, &err);
		return;
	}
	l->unpacked = true;
	close_pipe(l);
	/* What follows the archive's end is read and thrown away. */
	if (l->req)
		sk_http_body_more(l->req);
	else
		store(l);
}

static int on_pipe_writable(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct load *l = arg;
	ssize_t n = write(fd, l->unsent.data, l->unsent.len);

	/* The child is gone: its end is reported by another event. */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return sd_event_source_set_enabled(s, SD_EVENT_OFF);
	if (n > 0)
		sk_buf_drop(&l->unsent, (size_t)n);
	if (l->unsent.len > 0)
		return 0;
	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
	if (l->req)
		sk_http_body_more(l->req);
	else
		close_pipe(l);
	return 0;
}

static int load_make_pipe(struct load *l, struct sk_err *err)
{
	int p[2], r;

	if (pipe2(p, O_CLOEXEC) < 0)
		return sk_err_set(err, -errno, "io", "cannot make a pipe: %s", strerror(errno));
	l->archive_fd = p[0];
	l->pipe_fd = p[1];
	l->unsent.max = BUFFER_MAX;
	r = fcntl(p[1], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_io(l->d->event, &l->writable, p[1], EPOLLOUT, on_pipe_writable, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->writable, SD_EVENT_OFF);
	return r < 0 ? sk_err_set(err, r, "io", "cannot watch a pipe: %s", strerror(-r)) : 0;
}

static int open_image(struct load *l, struct sk_err *err)
{
	const char *dir = l->d->config.state_dir;

	l->image_fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	return l->image_fd < 0 ? sk_err_set(err, -errno, "io", "cannot make a file in %s: %s", dir,
					    strerror(errno))
			       : 0;
}

static int open_program(struct load *l, struct sk_err *err)
{
	const char *name = l->d->config.unpacker;
	_cleanup_free_ char *path = sk_program_find(name, SK_LIBEXEC_DIR);

	/* By descriptor: the child may not be able to reach it by name. */
	l->program_fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	return l->program_fd < 0
		       ? sk_err_set(err, -ENOENT, "not-found",
				    "the program %s is not installed; loading images needs it",
				    name)
		       : 0;
}

static int unpack_task(void *arg)
{
	const struct load *l = arg;
	const int fds[] = { l->archive_fd, l->image_fd };
	char max[32];
	const char *const argv[] = { "skerry-unpack", max, NULL };

	(void)snprintf(max, sizeof(max), "%" PRIu64, l->d->config.unpacked_max);
	return sk_task_exec(l->program_fd, argv, fds, ARRAY_SIZE(fds));
}

static int unpack_in_child(struct load *l, uid_t uid, struct sk_err *err)
{
	const int keep[] = { l->archive_fd, l->image_fd, l->program_fd };
	const struct sk_task task = {
		.run = unpack_task,
		.arg = l,
		.keep_fds = keep,
		.n_keep = ARRAY_SIZE(keep),
		.cwd = l->work_dir,
		.uid = uid,
		.gid = uid,
		.confined = true,
		.program_fd = l->program_fd,
		.limit_as_bytes = MEMORY_MAX,
		.limit_cpu_s = CPU_MAX_S,
		.limit_fsize_bytes = l->d->config.unpacked_max * SPOOL_PARTS,
		.out_max = OUT_MAX,
	};

	return sk_child_task(l->d->event, &task, on_unpacked, l, &l->child, err);
}

static int load_start(struct load *l, unsigned slot, struct sk_err *err)
{
	uid_t uid = l->d->config.uid_base + SK_ENGINE_UIDS_MAX + SK_UID_LOAD + slot;
	int r = sk_workdir_make(l->d->workdirs, uid, &l->work_dir, err);

	l->slot = slot;
	r = r < 0 ? r : open_image(l, err);
	r = r < 0 ? r : open_program(l, err);
	r = r < 0 ? r : load_make_pipe(l, err);
	r = r < 0 ? r : unpack_in_child(l, uid, err);
	load_drop_fd(&l->archive_fd);
	load_drop_fd(&l->program_fd);
	return r;
}

/* --- the request --- */

static struct load *load_begin(struct sk_http_req *req, struct sk_daemon *d, struct sk_err *err)
{
	struct load *l = calloc(1, sizeof(*l)), **at = &d->loads->all;

	if (!l) {
		(void)sk_err_oom(err);
		return NULL;
	}
	l->d = d;
	l->req = req;
	l->image_fd = l->pipe_fd = l->archive_fd = l->program_fd = -1;
	while (*at)
		at = &(*at)->next;
	*at = l;
	sk_http_set_user(req, l, load_free);
	return l;
}

/* Return: 0, or -EAGAIN when others are to be waited for */
static int make_sure_it_runs(struct load *l, struct sk_err *err)
{
	unsigned slot = load_free_slot(l->d->loads);

	if (is_running(l))
		return 0;
	return slot == LOADS_MAX ? -EAGAIN : load_start(l, slot, err);
}

static int pass_on(struct load *l, const void *data, size_t len, struct sk_err *err)
{
	ssize_t n;

	if (l->unsent.len > 0)
		return -EAGAIN;
	n = write(l->pipe_fd, data, len);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -EAGAIN; /* the child is gone; the event of its end wakes the request */
	n = SK_MAX(n, 0);
	if ((size_t)n == len)
		return 0;
	if (sk_buf_add(&l->unsent, (const char *)data + n, len - (size_t)n) < 0)
		return sk_err_oom(err);
	(void)sd_event_source_set_enabled(l->writable, SD_EVENT_ON);
	return 0;
}

int sk_docker_load_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
			struct sk_err *err)
{
	struct load *l = sk_http_user(req) ?: load_begin(req, arg, err);
	int r;

	if (!l)
		return -ENOMEM;
	if (l->failed) {
		*err = l->err;
		return err->code;
	}
	if (len == 0)
		return 0;
	r = make_sure_it_runs(l, err);
	if (r < 0 || l->unpacked)
		return r;
	return pass_on(l, data, len, err);
}

static void on_load_gone(struct sk_http_stream *s, void *arg)
{
	struct load *l = arg;

	l->stream = NULL;
	if (!l->staged)
		load_free(l);
}

int sk_docker_load(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const struct sk_http_stream_ops ops = { .gone = on_load_gone };
	struct load *l = sk_http_user(req);

	if (!is_running(l))
		return sk_err_set(err, -EINVAL, "bad-archive", "the archive is empty");
	if (sk_http_reply_stream(req, 200, "application/json", BUFFER_MAX, &ops, l, &l->stream) < 0)
		return sk_err_oom(err);
	/* From here on it is freed when its last child ends, or when the client leaves. */
	sk_http_set_user(req, l, NULL);
	l->req = NULL;
	if (l->unpacked)
		store(l);
	else if (l->unsent.len == 0)
		close_pipe(l);
	return 0;
}
