/* SPDX-License-Identifier: Apache-2.0 */

/* The update machine over parts that only note what they are asked. What it does over a failing disk: tests/sim. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/update/machine.h"

/** struct part - @fails: the call that does; @later, @reboots: the calls that end so; "" for none */
struct part {
	const char *name, *fails, *later, *reboots;
	bool inactive;
};

static struct {
	char dir[32];
	struct sk_store *store;
	struct sk_generations *gens;
	struct sk_machine *m;
	struct part parts[2];
	struct sk_release one, two;
	char trace[512];
	char step[32], reason[SK_GEN_REASON_MAX];
	bool deferred, watching, repair;
	unsigned reboots, collected;
	enum sk_gen_state confirmed; /* of the generation that was confirmed last */
} t;

static void note(const char *what, const char *name)
{
	size_t len = strlen(t.trace);

	(void)snprintf(t.trace + len, sizeof(t.trace) - len, "%s %s;", what, name);
}

static int call(struct part *p, const char *what, struct sk_err *err)
{
	note(what, p->name);
	if (sk_streq(p->fails, what))
		return sk_err_set(err, -EIO, "io", "cannot %s %s", what, p->name);
	if (sk_streq(p->reboots, what))
		return SK_PART_REBOOT;
	return sk_streq(p->later, what) ? SK_PART_LATER : SK_PART_DONE;
}

static int stage(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	return call(part, "stage", err);
}

static int activate(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	return call(part, "activate", err);
}

static bool is_active(void *part, const struct sk_part_target *to)
{
	return !((struct part *)part)->inactive;
}

static int confirm(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	t.confirmed = sk_generations_get(t.gens, to->generation)->state;
	return call(part, "confirm", err);
}

static int revert(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	return call(part, "revert", err);
}

static const struct sk_part_ops ops[2] = {
	{ "a", stage, activate, is_active, confirm, revert },
	{ "b", stage, activate, is_active, confirm, revert },
};

static void defer(void *arg)
{
	t.deferred = true;
}

static void watch(void *arg)
{
	t.watching = true;
}

static void emit(void *arg, const char *step, const char *reason)
{
	(void)snprintf(t.step, sizeof(t.step), "%s", step);
	(void)snprintf(t.reason, sizeof(t.reason), "%s", reason);
}

static void proved(void *arg)
{
	note("proved", "");
}

/* Both releases are known; the one to run is that of the running generation. */
static void retarget(void *arg)
{
	const struct sk_generation *g = sk_generations_running(t.gens);
	struct sk_part_target to = { 0 };

	if (g)
		to = (struct sk_part_target){ g->number, g->number == 1 ? &t.one : &t.two };
	sk_machine_set_target(t.m, &to);
}

static void collect(void *arg)
{
	t.collected++;
}

static void idle(void *arg, bool repair)
{
	t.repair = repair;
}

static void reboot(void *arg)
{
	t.reboots++;
}

static void make_machine(bool can_reboot)
{
	const struct sk_machine_host host = { .defer = defer,
					      .watch = watch,
					      .emit = emit,
					      .proved = proved,
					      .retarget = retarget,
					      .collect = collect,
					      .idle = idle,
					      .reboot = can_reboot ? reboot : NULL };

	sk_machine_free(t.m);
	assert_int_equal(sk_machine_new(t.gens, &host, &t.m, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(sk_machine_add_part(t.m, &ops[i], &t.parts[i], NULL), 0);
	retarget(NULL);
}

static int setup(void **state)
{
	static const struct part good = { .fails = "", .later = "", .reboots = "" };

	memset(&t, 0, sizeof(t));
	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/sk-machine-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	t.parts[0] = t.parts[1] = good;
	t.parts[0].name = "a";
	t.parts[1].name = "b";
	t.one.id = (struct sk_digest){ { 1 } };
	t.two.id = (struct sk_digest){ { 2 } };
	assert_int_equal(sk_store_open(t.dir, &t.store, NULL), 0);
	assert_int_equal(sk_generations_open(t.store, &t.gens, NULL), 0);
	make_machine(true);
	return 0;
}

static int teardown(void **state)
{
	sk_machine_free(t.m);
	sk_generations_close(t.gens);
	sk_store_close(t.store);
	(void)sk_rm_rf(AT_FDCWD, t.dir);
	return 0;
}

/* What the loop does until something has to come from outside. */
static void run(void)
{
	while (t.deferred) {
		t.deferred = false;
		sk_machine_go_on(t.m);
	}
}

static int apply(const struct sk_release *rel)
{
	struct sk_part_target to = { .release = rel };
	int r = sk_generations_stage(t.gens, &rel->id, rel == &t.one ? "1.0" : "2.0", false, 3,
				     &to.generation, NULL);

	assert_int_equal(r, 0);
	t.trace[0] = '\0';
	r = sk_machine_apply(t.m, &to, NULL);
	run();
	return r;
}

static void look(bool well)
{
	assert_true(t.watching);
	t.watching = false;
	sk_machine_verdict(t.m, well, "sick");
	run();
}

/* Generation 1 is good, generation 2 is about to be tried. */
static void begin(void)
{
	assert_int_equal(apply(&t.one), 0);
	look(true);
	assert_int_equal(sk_generations_get(t.gens, 1)->state, SK_GEN_GOOD);
}

static enum sk_gen_state second(void)
{
	return sk_generations_get(t.gens, 2)->state;
}

/* Each part in its order, the next only when the one before has ended; confirmed once it is recorded as good. */
static void in_order(void **state)
{
	struct sk_part_host host = sk_machine_part_host(t.m);

	begin();
	t.collected = 0;
	t.parts[0].later = "activate";
	assert_int_equal(apply(&t.two), 0);
	assert_string_equal(t.trace, "stage a;stage b;activate a;");
	assert_string_equal(t.step, "stopping");
	host.starting(host.arg);
	assert_string_equal(t.step, "starting");
	/* A spurious wake-up begins nothing twice. */
	sk_machine_go_on(t.m);
	assert_string_equal(t.trace, "stage a;stage b;activate a;");
	host.done(host.arg, SK_PART_DONE, NULL);
	assert_string_equal(t.trace, "stage a;stage b;activate a;activate b;");
	assert_string_equal(t.step, "settling");
	assert_int_equal(second(), SK_GEN_TRYING);
	look(true);
	assert_string_equal(t.trace,
			    "stage a;stage b;activate a;activate b;proved ;confirm a;confirm b;");
	assert_int_equal(t.confirmed, SK_GEN_GOOD);
	assert_int_equal(second(), SK_GEN_GOOD);
	assert_string_equal(t.step, "idle");
	assert_int_equal(t.collected, 1);
	assert_false(t.repair);
}

/* The first failure ends the way out and is the reason; back goes the last part first. */
static void a_part_fails(void **state)
{
	static const struct {
		const char *fails, *trace, *reason;
		unsigned part;
	} rows[] = {
		{ "stage", "stage a;revert b;revert a;", "cannot stage a", 0 },
		{ "stage", "stage a;stage b;revert b;revert a;", "cannot stage b", 1 },
		{ "activate", "stage a;stage b;activate a;revert b;revert a;", "cannot activate a",
		  0 },
		{ "activate", "stage a;stage b;activate a;activate b;revert b;revert a;",
		  "cannot activate b", 1 },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t number = i + 2;

		t.parts[rows[i].part].fails = rows[i].fails;
		assert_int_equal(apply(&t.two), 0);
		t.parts[rows[i].part].fails = "";
		assert_string_equal(t.trace, rows[i].trace);
		assert_int_equal(sk_generations_get(t.gens, number)->state, SK_GEN_BAD);
		assert_string_equal(sk_generations_get(t.gens, number)->reason, rows[i].reason);
		look(true);
		assert_string_equal(t.step, "idle");
		assert_false(t.repair);
	}
}

/* As one failed, and later. */
static void a_part_fails_later(void **state)
{
	struct sk_part_host host = sk_machine_part_host(t.m);
	struct sk_err err = SK_ERR_INIT;

	begin();
	t.parts[1].later = "activate";
	assert_int_equal(apply(&t.two), 0);
	host.done(host.arg, sk_err_set(&err, -EIO, "io", "no room in b"), &err);
	run();
	assert_string_equal(sk_generations_get(t.gens, 2)->reason, "no room in b");
	assert_non_null(strstr(t.trace, "activate b;revert b;revert a;"));
}

/* On the way back all that can be done is done, the reason stays, and it is tried again. */
static void the_way_back_fails(void **state)
{
	begin();
	assert_int_equal(apply(&t.two), 0);
	t.trace[0] = '\0';
	t.parts[1].fails = "revert";
	t.parts[1].inactive = true;
	look(false);
	assert_string_equal(t.trace, "revert b;revert a;");
	assert_string_equal(t.reason, "sick");
	look(true);
	assert_string_equal(t.step, "idle");
	assert_true(t.repair);
	t.parts[1] = t.parts[0];
	t.parts[1].name = "b";
	t.trace[0] = '\0';
	sk_machine_restore(t.m);
	run();
	assert_string_equal(t.trace, "revert b;revert a;");
	look(true);
	assert_false(t.repair);
	assert_string_equal(sk_generations_get(t.gens, 2)->reason, "sick");
}

/* A healthy device that does not run what it should is not good. */
static void only_what_is_active_counts(void **state)
{
	begin();
	t.parts[1].inactive = true;
	assert_int_equal(apply(&t.two), 0);
	look(true);
	assert_int_equal(second(), SK_GEN_BAD);
	assert_string_equal(sk_generations_get(t.gens, 2)->reason, "the device does not run its b");
	assert_null(strstr(t.trace, "confirm"));
}

/* After a part that takes a restart nothing more is done before it. */
static void a_restart(void **state)
{
	begin();
	t.parts[0].reboots = "activate";
	assert_int_equal(apply(&t.two), 0);
	assert_string_equal(t.trace, "stage a;stage b;activate a;");
	assert_int_equal(t.reboots, 1);
	assert_int_equal(sk_machine_state(t.m), SK_UPD_REBOOTING);
	assert_int_equal(second(), SK_GEN_TRYING);
	/* The next start goes through the same calls. */
	t.parts[0].reboots = "";
	t.trace[0] = '\0';
	make_machine(true);
	sk_machine_start(t.m);
	run();
	assert_string_equal(t.trace, "stage a;stage b;activate a;activate b;");
	look(true);
	assert_int_equal(second(), SK_GEN_GOOD);
}

static void a_restart_that_cannot_be_had(void **state)
{
	begin();
	make_machine(false);
	t.parts[1].reboots = "activate";
	assert_int_equal(apply(&t.two), 0);
	assert_int_equal(second(), SK_GEN_BAD);
	assert_non_null(strstr(sk_generations_get(t.gens, 2)->reason, "cannot be restarted"));
	assert_string_equal(t.trace, "stage a;stage b;activate a;activate b;revert b;revert a;");
}

static void a_confirm_that_fails(void **state)
{
	begin();
	t.parts[0].fails = "confirm";
	assert_int_equal(apply(&t.two), 0);
	look(true);
	assert_int_equal(second(), SK_GEN_GOOD);
	assert_non_null(strstr(t.trace, "confirm a;confirm b;"));
	assert_true(t.repair);
}

static void one_at_a_time(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	t.parts[0].later = "stage";
	assert_int_equal(apply(&t.one), 0);
	assert_int_equal(sk_machine_can_apply(t.m, &err), -EBUSY);
	assert_non_null(strstr(err.text, "stopping"));
	assert_int_equal(apply(&t.two), -EBUSY);
	assert_int_equal(second(), SK_GEN_STAGED);
	assert_string_equal(t.trace, "");
}

/* The machine goes down: what ends, and what is asked, changes nothing any more. */
static void halted(void **state)
{
	struct sk_part_host host = sk_machine_part_host(t.m);

	begin();
	t.parts[0].later = "activate";
	assert_int_equal(apply(&t.two), 0);
	sk_machine_halt(t.m);
	t.trace[0] = t.step[0] = '\0';
	host.starting(host.arg);
	host.done(host.arg, SK_PART_DONE, NULL);
	sk_machine_go_on(t.m);
	sk_machine_restore(t.m);
	sk_machine_verdict(t.m, false, "sick");
	assert_string_equal(t.trace, "");
	assert_string_equal(t.step, "");
	assert_int_equal(second(), SK_GEN_TRYING);
	assert_int_equal(sk_machine_can_apply(t.m, NULL), -ESHUTDOWN);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_order),
		TEST(a_part_fails),
		TEST(a_part_fails_later),
		TEST(the_way_back_fails),
		TEST(only_what_is_active_counts),
		TEST(a_restart),
		TEST(a_restart_that_cannot_be_had),
		TEST(a_confirm_that_fails),
		TEST(one_at_a_time),
		TEST(halted),
	};

	return cmocka_run_group_tests_name("engine/update/machine", tests, NULL, NULL);
}
