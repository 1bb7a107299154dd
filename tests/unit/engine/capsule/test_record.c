/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A record outlives a kill and a power cut at any moment: it is replaced as a whole, and what it lies in
 * reaches the disk after it. Calls are noted in memory that the saving child shares.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"
#include "engine_world.h"
#include "io/sys/child.h"

static struct shared {
	char calls[4096];	     /* "write PATH\n", "sync PATH\n", "remove PATH\n" */
	int write_fails, sync_fails; /* so many times */
	int child_folders;	     /* so many were made by a child */
	_Atomic bool hold;	     /* writes stand still */
} * shared;

static uint64_t delay_max_us; /* the longest that something was put off */
static bool no_children;      /* none can be started */

static void note_call(const char *what, const char *path)
{
	size_t n = strlen(shared->calls);

	(void)snprintf(shared->calls + n, sizeof(shared->calls) - n, "%s %s\n", what, path);
}

int __real_sk_file_write(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
int __wrap_sk_file_write(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
int __wrap_sk_file_write(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	note_call("write", path);
	while (shared->hold)
		(void)usleep(1000);
	if (shared->write_fails > 0) {
		shared->write_fails--;
		return -ENOSPC;
	}
	return __real_sk_file_write(dirfd, path, data, len, mode);
}

static pid_t daemon_pid;

int __real_sk_mkdir_p(int dirfd, const char *path, mode_t mode);
int __wrap_sk_mkdir_p(int dirfd, const char *path, mode_t mode);
int __wrap_sk_mkdir_p(int dirfd, const char *path, mode_t mode)
{
	shared->child_folders += getpid() != daemon_pid;
	return __real_sk_mkdir_p(dirfd, path, mode);
}

int __real_sk_dir_sync(int dirfd, const char *path);
int __wrap_sk_dir_sync(int dirfd, const char *path);
int __wrap_sk_dir_sync(int dirfd, const char *path)
{
	note_call("sync", path);
	if (shared->sync_fails > 0) {
		shared->sync_fails--;
		return -EIO;
	}
	return __real_sk_dir_sync(dirfd, path);
}

int __real_sk_rm_rf(int dirfd, const char *path);
int __wrap_sk_rm_rf(int dirfd, const char *path);
int __wrap_sk_rm_rf(int dirfd, const char *path)
{
	note_call("remove", path);
	return __real_sk_rm_rf(dirfd, path);
}

int __real_sd_event_add_time_relative(sd_event *e, sd_event_source **s, clockid_t clock,
				      uint64_t us, uint64_t accuracy, sd_event_time_handler_t fn,
				      void *arg);
int __wrap_sd_event_add_time_relative(sd_event *e, sd_event_source **s, clockid_t clock,
				      uint64_t us, uint64_t accuracy, sd_event_time_handler_t fn,
				      void *arg);
int __wrap_sd_event_add_time_relative(sd_event *e, sd_event_source **s, clockid_t clock,
				      uint64_t us, uint64_t accuracy, sd_event_time_handler_t fn,
				      void *arg)
{
	delay_max_us = SK_MAX(delay_max_us, us);
	return __real_sd_event_add_time_relative(e, s, clock, SK_MIN(us, UINT64_C(20000)), accuracy,
						 fn, arg);
}

int __real_sk_child_task(sd_event *event, const struct sk_task *task, sk_child_done_fn done,
			 void *arg, struct sk_child **ret, struct sk_err *err);
int __wrap_sk_child_task(sd_event *event, const struct sk_task *task, sk_child_done_fn done,
			 void *arg, struct sk_child **ret, struct sk_err *err);
int __wrap_sk_child_task(sd_event *event, const struct sk_task *task, sk_child_done_fn done,
			 void *arg, struct sk_child **ret, struct sk_err *err)
{
	if (no_children)
		return sk_err_set(err, -EAGAIN, "io", "no child today");
	return __real_sk_child_task(event, task, done, arg, ret, err);
}

static int record_setup(void **state)
{
	no_children = false;
	daemon_pid = getpid();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(shared != MAP_FAILED);
	return setup(state);
}

static int record_teardown(void **state)
{
	int r = teardown(state);

	(void)munmap(shared, sizeof(*shared));
	return r;
}

/* A capsule whose first record is on the disk; nothing is noted yet. */
static struct sk_capsule *saved(struct world *w, const char *name)
{
	struct sk_capsule *c = make(w, name, (struct sk_app){ 0 });

	assert_int_equal(sk_record_flush(w->e), 0);
	memset(shared, 0, sizeof(*shared));
	delay_max_us = 0;
	return c;
}

static char *disk_path(const struct sk_capsule *c)
{
	return sk_asprintf("%s/record.json", c->disk_dir);
}

static char *memory_path(const struct sk_capsule *c)
{
	return sk_asprintf("%s/records/%s.json", c->e->run_dir, c->id);
}

static void reaches_the_disk_with_its_folder(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");
	_cleanup_free_ char *path = disk_path(c);
	_cleanup_free_ char *first = sk_asprintf("write %s\n", path);
	_cleanup_free_ char *last = sk_asprintf("\nsync %s\n", w->e->state_dir);

	sk_record_save(c);
	assert_int_equal(sk_record_flush(w->e), 0);
	/* Between them, in some builds, is the sync that sk_file_write() itself makes. */
	assert_int_equal(strncmp(shared->calls, first, strlen(first)), 0);
	assert_true(sk_str_ends(shared->calls, last));
}

static void a_folder_that_is_not_synced_is_a_failure(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");

	sk_record_save(c);
	shared->sync_fails = 1;
	assert_int_equal(sk_record_flush(w->e), -EIO);
	/* It is still to be written, and then no more. */
	shared->calls[0] = '\0';
	assert_int_equal(sk_record_flush(w->e), 0);
	assert_non_null(strstr(shared->calls, "record.json\nsync "));
	shared->calls[0] = '\0';
	assert_int_equal(sk_record_flush(w->e), 0);
	assert_string_equal(shared->calls, "");
}

static char *text_of(int fd)
{
	static char buf[65536];
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	assert_true(n > 0);
	buf[n] = '\0';
	return buf;
}

/* Who has the old one open sees it whole, however far the new one is. */
static void is_replaced_and_not_edited(char *path, struct sk_capsule *c)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC), now = -1;
	_cleanup_free_ char *before = NULL;

	assert_true(fd >= 0);
	before = strdup(text_of(fd));
	c->restarts += 7;
	sk_record_save(c);
	assert_int_equal(sk_record_flush(c->e), 0);
	assert_string_equal(text_of(fd), before);
	now = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(now >= 0 && strcmp(text_of(now), before) != 0);
	free(path);
}

static void both_are_replaced(void **state)
{
	struct sk_capsule *c = saved(*state, "a");

	is_replaced_and_not_edited(memory_path(c), c);
	is_replaced_and_not_edited(disk_path(c), c);
}

/* In memory too the old one stays when the new one cannot be written. */
static void the_old_one_stays(void **state)
{
	struct sk_capsule *c = saved(*state, "a");
	_cleanup_free_ char *path = memory_path(c), *next = sk_asprintf("%s.new", path);
	_cleanup_free_ char *before = NULL, *after = NULL;

	assert_int_equal(sk_file_read(AT_FDCWD, path, 65536, &before, NULL), 0);
	assert_int_equal(mkdir(next, 0700), 0);
	c->restarts += 7;
	sk_record_save(c);
	assert_int_equal(sk_file_read(AT_FDCWD, path, 65536, &after, NULL), 0);
	assert_string_equal(before, after);
	assert_int_equal(rmdir(next), 0);
}

static bool on_disk(const struct sk_capsule *c, const char *what)
{
	_cleanup_free_ char *path = disk_path(c), *text = NULL;

	return sk_file_read(AT_FDCWD, path, 65536, &text, NULL) == 0 && strstr(text, what);
}

/* Without another change, and not at once: what was full may be so for a while. */
static void a_save_that_failed_is_done_again(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");

	shared->write_fails = 1;
	c->restarts = 7;
	sk_record_save(c);
	UNTIL(w, on_disk(c, "\"restarts\":7"));
	assert_true(delay_max_us >= 10 * 1000000);
}

/* The child writes what it was started with; the change is the next one's, without a further change. */
static void a_change_during_a_save_is_saved_after_it(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");

	shared->hold = true;
	c->restarts = 7;
	sk_record_save(c);
	UNTIL(w, w->e->saver);
	c->restarts = 8;
	sk_record_save(c);
	UNTIL(w, !w->e->save_timer);
	assert_non_null(w->e->saver);
	shared->hold = false;
	UNTIL(w, on_disk(c, "\"restarts\":8"));
	UNTIL(w, !w->e->saver);
	/* Nothing is left to be saved. */
	assert_null(w->e->save_timer);
	assert_true(delay_max_us < 10 * 1000000);
}

static void a_change_during_a_save_that_fails_does_not_wait(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");

	shared->hold = true;
	shared->write_fails = 1;
	c->restarts = 7;
	sk_record_save(c);
	UNTIL(w, w->e->saver);
	c->restarts = 8;
	sk_record_save(c);
	UNTIL(w, !w->e->save_timer);
	shared->hold = false;
	UNTIL(w, !w->e->saver);
	assert_non_null(w->e->save_timer);
	assert_false(w->e->save_is_retry);
	UNTIL(w, on_disk(c, "\"restarts\":8"));
}

/* The daemon writes them itself, as before a save by a child: whole, and once. */
static void without_a_child_it_is_saved_at_once(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");

	no_children = true;
	c->restarts = 7;
	sk_record_save(c);
	UNTIL(w, !w->e->save_timer);
	assert_true(on_disk(c, "\"restarts\":7"));
	assert_false(c->dirty);
	assert_null(w->e->saver);
}

static void without_a_child_a_failure_is_tried_again(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");

	no_children = true;
	shared->write_fails = 1;
	c->restarts = 7;
	sk_record_save(c);
	UNTIL(w, w->e->save_is_retry);
	assert_false(on_disk(c, "\"restarts\":7"));
	assert_true(delay_max_us >= 10 * 1000000);
	UNTIL(w, on_disk(c, "\"restarts\":7"));
}

/* One that waits for its retry holds no change back. */
static void a_change_does_not_wait_for_the_retry(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");

	shared->write_fails = 1;
	sk_record_save(c);
	UNTIL(w, w->e->save_is_retry);
	sk_record_save(c);
	assert_non_null(w->e->save_timer);
	assert_false(w->e->save_is_retry);
}

/* The name is gone from the disk before anything below it is: no record without its files. */
static void removal_is_on_the_disk_first(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = saved(w, "a");
	_cleanup_free_ char *calls =
		sk_asprintf("sync %s\nremove %s.gone\n", w->e->state_dir, c->disk_dir);

	assert_int_equal(sk_capsule_remove(c, false, on_done, w, NULL), 0);
	UNTIL(w, w->done[0]);
	assert_string_equal(w->done, "ok ");
	assert_non_null(strstr(shared->calls, calls));
}

/* A child that is killed for a removal ends some time later: it must not be able to make the folder again. */
static void a_child_makes_no_folder(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	UNTIL(w, on_disk(c, "\"state\""));
	assert_int_equal(shared->child_folders, 0);
	/* One that went away meanwhile is made by the daemon. */
	assert_int_equal(sk_rm_rf(AT_FDCWD, c->disk_dir), 0);
	c->restarts = 7;
	sk_record_save(c);
	UNTIL(w, on_disk(c, "\"restarts\":7"));
	assert_int_equal(shared->child_folders, 0);
}

#define RECORD_TEST(f) cmocka_unit_test_setup_teardown(f, record_setup, record_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECORD_TEST(reaches_the_disk_with_its_folder),
		RECORD_TEST(a_folder_that_is_not_synced_is_a_failure),
		RECORD_TEST(both_are_replaced),
		RECORD_TEST(the_old_one_stays),
		RECORD_TEST(a_save_that_failed_is_done_again),
		RECORD_TEST(a_change_during_a_save_is_saved_after_it),
		RECORD_TEST(a_change_during_a_save_that_fails_does_not_wait),
		RECORD_TEST(without_a_child_it_is_saved_at_once),
		RECORD_TEST(without_a_child_a_failure_is_tried_again),
		RECORD_TEST(a_change_does_not_wait_for_the_retry),
		RECORD_TEST(removal_is_on_the_disk_first),
		RECORD_TEST(a_child_makes_no_folder),
	};

	return cmocka_run_group_tests_name("engine/capsule/record", tests, NULL, NULL);
}
