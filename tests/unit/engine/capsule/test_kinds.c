/* SPDX-License-Identifier: Apache-2.0 */

/* Kinds of capsules: each runs its own, and what a kind does not have is refused by name. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"
#include "engine/capsule/logs.h"
#include "engine_world.h"

#define STRAY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct sk_runtime_streams both = { .out = true, .err = true };

static void open_again(struct world *w, bool with_vms)
{
	sk_engine_free(w->e);
	memset(fakes.v, 0, sizeof(fakes.v));
	fakes.with_vms = with_vms;
	open_world(w);
}

static const struct sk_runtime_unit *unit_of(struct sk_capsule *c)
{
	return &c->unit;
}

static void each_runs_its_own(void **state)
{
	struct world *w = *state;
	struct sk_capsule *box, *vm;

	open_again(w, true);
	box = make(w, "box", (struct sk_app){ 0 });
	vm = make(w, "vm", (struct sk_app){ .kind = SK_KIND_VM });
	assert_string_equal(unit_of(box)->kind->ops->name, "container");
	assert_string_equal(unit_of(vm)->kind->ops->name, "vm");
	assert_non_null(strstr(unit_of(box)->dir, "/run/capsules/"));
	assert_non_null(strstr(unit_of(vm)->dir, "/run/vms/"));
	assert_int_equal(sk_capsule_start(vm, on_done, w, NULL), 0);
	UNTIL(w, w->done[0]);
	assert_string_equal(w->done, "ok ");
}

/* Of a kind that this device had once: its record stays, and the others are not kept from running. */
static void one_that_is_not_there_any_more(void **state)
{
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;

	open_again(w, true);
	(void)make(w, "box", (struct sk_app){ 0 });
	(void)make(w, "vm", (struct sk_app){ .kind = SK_KIND_VM });
	open_again(w, false);
	assert_non_null(sk_engine_find(w->e, "box", NULL));
	assert_null(sk_engine_find(w->e, "vm", &err));
	open_again(w, true);
	assert_non_null(sk_engine_find(w->e, "vm", NULL));
}

/* The folder says whose it was. */
static void leftovers_are_cleaned_by_their_kind(void **state)
{
	struct world *w = *state;
	char path[256];

	open_again(w, true);
	(void)snprintf(path, sizeof(path), "%s/run/vms/" STRAY, w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	open_again(w, true);
	settle(w, 5);
	assert_string_equal(fakes.cleaned, "vm aaaa");
}

static int no_line(void *arg, const struct sk_log_line *l)
{
	return 0;
}

static void no_end(void *arg)
{
}

static void what_a_kind_does_not_have(void **state)
{
	static char *const argv[] = { S("true"), NULL };
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });
	const struct sk_log_query query = { .stdout_ = true, .tail = -1 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_logs *logs = NULL;
	int fd = -1;

	/* Before anything else it has to run. */
	assert_int_equal(sk_capsule_attach(c, &both, &fd, &err), -ESRCH);
	assert_int_equal(sk_capsule_exec_stream(c, argv, &both, &fd, &err), -ESRCH);
	assert_int_equal(sk_capsule_start(c, NULL, NULL, NULL), 0);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	assert_int_equal(sk_capsule_attach(c, &both, &fd, &err), -EOPNOTSUPP);
	assert_string_equal(err.slug, "not-supported");
	assert_int_equal(sk_capsule_exec_stream(c, argv, &both, &fd, &err), -EOPNOTSUPP);
	assert_int_equal(sk_logs_open(c, &query, no_line, no_end, NULL, &logs, &err), -EOPNOTSUPP);
	assert_int_equal(fd, -1);
}

static int give_socket(struct sk_runtime_unit *u, const struct sk_runtime_streams *streams,
		       int *ret_fd, struct sk_err *err)
{
	*ret_fd = streams->out && !streams->in ? 42 : -1;
	return 0;
}

static int give_socket_for(struct sk_runtime_unit *u, char *const *argv,
			   const struct sk_runtime_streams *streams, int *ret_fd,
			   struct sk_err *err)
{
	*ret_fd = sk_streq(argv[0], "true") ? 43 : -1;
	return 0;
}

static void what_a_kind_has(void **state)
{
	static char *const argv[] = { S("true"), NULL };
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });
	int fd = -1;

	fake_ops.attach = give_socket;
	fake_ops.exec_stream = give_socket_for;
	assert_int_equal(sk_capsule_start(c, NULL, NULL, NULL), 0);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	assert_int_equal(sk_capsule_attach(c, &both, &fd, NULL), 0);
	assert_int_equal(fd, 42);
	assert_int_equal(sk_capsule_exec_stream(c, argv, &both, &fd, NULL), 0);
	assert_int_equal(fd, 43);
	fake_ops.attach = NULL;
	fake_ops.exec_stream = NULL;
}

/* A kind that can neither be connected to nor run a command: the capsule runs, unchecked. */
static void health_that_cannot_be_checked(void **state)
{
	struct world *w = *state;
	struct sk_app app = { .run.health = {
				      .kind = SK_HEALTH_TCP, .interval_ms = 1, .port = 1 } };
	struct sk_capsule *c = make(w, "a", app);
	struct sk_capsule_view v;

	assert_int_equal(sk_capsule_start(c, NULL, NULL, NULL), 0);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	do {
		assert_true(sd_event_run(w->event, 1000000) >= 0);
		sk_capsule_view(c, &v);
	} while (v.health_check.start_s == 0);
	assert_int_equal(v.health, SK_HEALTH_STARTING);
	assert_int_equal(v.health_check.end_s, 0);
	assert_int_equal(v.state, SK_CAPSULE_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_runs_its_own),
		TEST(one_that_is_not_there_any_more),
		TEST(leftovers_are_cleaned_by_their_kind),
		TEST(what_a_kind_does_not_have),
		TEST(what_a_kind_has),
		TEST(health_that_cannot_be_checked),
	};

	return cmocka_run_group_tests_name("engine/capsule/kinds", tests, NULL, NULL);
}
