/* SPDX-License-Identifier: Apache-2.0 */

/* The engine with a runtime that only pretends: what is called when, and what follows. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine_world.h"

static void life(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	assert_int_equal(sk_capsule_start(c, on_done, w, NULL), 0);
	assert_string_equal(w->done, "");
	settle(w, 5);
	assert_string_equal(w->done, "ok ");
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	assert_int_equal(sk_capsule_stop(c, UINT64_MAX, on_done, w, NULL), 0);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_EXITED);
	assert_int_equal(sk_capsule_remove(c, false, on_done, w, NULL), 0);
	UNTIL(w, !sk_engine_find(w->e, "a", NULL) && strlen(w->done) == strlen("ok ok ok "));
	assert_string_equal(w->done, "ok ok ok ");
	assert_string_equal(w->events, "a:create a:start a:die a:stop a:destroy ");
	assert_null(sk_engine_find(w->e, "a", NULL));
}

/* For an upgrade: the old one's processes are gone, so the next may start while it is cleaned. */
static void end_does_not_wait_for_cleaning(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 5);
	fakes.hold_clean = true;
	(void)sk_capsule_stop(c, UINT64_MAX, on_done, w, NULL);
	(void)sk_capsule_end(c, on_done, w, NULL);
	settle(w, 5);
	assert_string_equal(w->done, "ok ");
	assert_int_equal(live(), 0);
	assert_int_equal(fakes.cleans, 1);
	later(fakes.held, CLEAN);
	settle(w, 5);
	assert_string_equal(w->done, "ok ok ");
}

/* Its monitor was killed: nobody knows yet whether the processes are gone. */
static void end_waits_where_processes_may_live(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 5);
	fakes.hold_clean = fakes.lose = true;
	(void)sk_capsule_end(c, on_done, w, NULL);
	settle(w, 5);
	assert_int_equal(fakes.cleans, 1);
	assert_string_equal(w->done, "");
	later(fakes.held, CLEAN);
	settle(w, 5);
	assert_string_equal(w->done, "ok ");
}

static void idempotent(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	(void)sk_capsule_stop(c, 0, on_done, w, NULL);
	(void)sk_capsule_prepare(c, on_done, w, NULL);
	settle(w, 5);
	(void)sk_capsule_prepare(c, on_done, w, NULL);
	(void)sk_capsule_start(c, on_done, w, NULL);
	settle(w, 5);
	(void)sk_capsule_start(c, on_done, w, NULL);
	(void)sk_capsule_prepare(c, on_done, w, NULL);
	settle(w, 5);
	assert_int_equal(fakes.prepares, 1);
	assert_int_equal(fakes.starts, 1);
	/* The first prepare came while the stop's end was still to be told. */
	assert_null(strstr(w->done, "child-failed"));
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
}

static void overtaken_operations_are_told(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	(void)sk_capsule_start(c, on_done, w, NULL);
	(void)sk_capsule_stop(c, 0, on_done, w, NULL);
	(void)sk_capsule_remove(c, true, on_done, w, NULL);
	assert_int_equal(sk_capsule_start(c, on_done, w, NULL), -EBUSY);
	UNTIL(w, strstr(w->done, "ok "));
	assert_string_equal(w->done, "bad-state bad-state ok ");
	assert_int_equal(live(), 0);
}

/* A runtime that hangs holds up neither the capsule's removal nor its name. */
static void removal_does_not_wait_for_a_start(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	fakes.hang_create = true;
	assert_int_equal(sk_capsule_start(c, on_done, w, NULL), 0);
	settle(w, 5);
	assert_string_equal(w->done, "");
	assert_int_equal(sk_capsule_remove(c, true, on_done, w, NULL), 0);
	UNTIL(w, strstr(w->done, "ok "));
	assert_string_equal(w->done, "bad-state ok ");
	assert_int_equal(fakes.cleans, 1);
	assert_null(sk_engine_find(w->e, "a", NULL));
}

static void failures(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ .restart = SK_RESTART_ALWAYS });

	fakes.fail_prepare = true;
	(void)sk_capsule_start(c, on_done, w, NULL);
	settle(w, 5);
	fakes.fail_prepare = false;
	fakes.fail_create = true;
	(void)sk_capsule_start(c, on_done, w, NULL);
	settle(w, 5);
	fakes.fail_create = false;
	fakes.fail_start = true;
	(void)sk_capsule_start(c, on_done, w, NULL);
	settle(w, 5);
	assert_string_equal(w->done, "bad-image child-failed child-failed ");
	assert_int_equal(fakes.cleans, 3);
	fakes.fail_start = false;
	(void)sk_capsule_start(c, on_done, w, NULL);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
}

static void restarts_and_gives_up(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a",
				    (struct sk_app){ .restart = SK_RESTART_ON_FAILURE,
						     .restart_max = 2,
						     .backoff_min_ms = 1,
						     .backoff_max_ms = 1 });

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 20);
	for (int i = 0; i < 2; i++) {
		die(c, 1);
		settle(w, 20);
		assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	}
	die(c, 1);
	settle(w, 20);
	assert_int_equal(state_of(c), SK_CAPSULE_FAILED);
	(void)sk_capsule_start(c, on_done, w, NULL);
	settle(w, 20);
	assert_string_equal(w->done, "ok ");
	die(c, 0);
	settle(w, 20);
	assert_int_equal(state_of(c), SK_CAPSULE_EXITED);
}

static void back_off_can_be_cut_short(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a",
				    (struct sk_app){ .restart = SK_RESTART_ALWAYS,
						     .backoff_min_ms = 3600000,
						     .backoff_max_ms = 3600000 });

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 5);
	die(c, 1);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_BACKOFF);
	(void)sk_capsule_start(c, on_done, w, NULL);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	die(c, 1);
	settle(w, 5);
	(void)sk_capsule_stop(c, 0, on_done, w, NULL);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_EXITED);
	assert_string_equal(w->done, "ok ok ");
}

static void grace_time_ends(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });
	struct sk_capsule_view v;

	fakes.ignore_term = true;
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 5);
	(void)sk_capsule_stop(c, 20, on_done, w, NULL);
	assert_int_equal(state_of(c), SK_CAPSULE_STOPPING);
	for (int i = 0; i < 200 && state_of(c) != SK_CAPSULE_EXITED; i++)
		settle(w, 50);
	sk_capsule_view(c, &v);
	assert_int_equal(v.exit_code, 137);
	assert_string_equal(w->done, "ok ");
}

/* Who stops again, with less patience, need not wait for the first one's time. */
static void a_second_stop_has_its_own_time(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	fakes.ignore_term = true;
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 5);
	(void)sk_capsule_stop(c, 3600000, on_done, w, NULL);
	settle(w, 5);
	(void)sk_capsule_stop(c, 1, on_done, w, NULL);
	for (int i = 0; i < 200 && state_of(c) != SK_CAPSULE_EXITED; i++)
		settle(w, 50);
	assert_string_equal(w->done, "ok ok ");
}

/* Killed in the middle of a stop: the next daemon gives the capsule its time again. */
static void a_stop_goes_on_with_its_grace(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ .run.stop_grace_ms = 3600000 });

	fakes.ignore_term = true;
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 5);
	(void)sk_capsule_stop(c, UINT64_MAX, NULL, NULL, NULL);
	settle(w, 5);
	sk_engine_free(w->e);
	fakes.found = SK_RUNTIME_RUNNING;
	open_world(w);
	settle(w, 50);
	c = sk_engine_find(w->e, "a", NULL);
	assert_int_equal(state_of(c), SK_CAPSULE_STOPPING);
}

static struct sk_app checked(char **command)
{
	return (struct sk_app){ .run.health = { .kind = SK_HEALTH_COMMAND,
						.command = command,
						.interval_ms = 1,
						.timeout_ms = 50,
						.retries = 1 } };
}

static void until_unhealthy(struct world *w, struct sk_capsule *c)
{
	struct sk_capsule_view v;

	for (int i = 0; i < 1000; i++) {
		sk_capsule_view(c, &v);
		if (v.health == SK_HEALTH_UNHEALTHY)
			return;
		(void)sd_event_run(w->event, 20000);
	}
	fail_msg("it does not become unhealthy");
}

static void a_check_that_hangs_is_ended(void **state)
{
	char *command[] = { S("sleep"), S("1000"), NULL };
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", checked(command));

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	until_unhealthy(w, c);
	assert_true(fakes.ended_execs > 0);
}

/* It goes into JSON, where one byte that is no character would cost the whole list. */
static void what_a_check_prints_can_be_shown(void **state)
{
	char *command[] = { S("printf"), S("a\\377b\\033[2J\\303"), NULL };
	struct world *w = *state;
	struct sk_app app = checked(command);
	struct sk_capsule_view v;
	struct sk_capsule *c;

	app.run.health.timeout_ms = 60000;
	c = make(w, "a", app);
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	do {
		(void)sd_event_run(w->event, 20000);
		sk_capsule_view(c, &v);
	} while (!v.health_output);
	assert_string_equal(v.health_output, "a?b [2J");
}

static void restart_runs_once(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 5);
	(void)sk_capsule_restart(c, UINT64_MAX, on_done, w, NULL);
	assert_int_equal(state_of(c), SK_CAPSULE_STOPPING);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	assert_int_equal(fakes.starts, 2);
	assert_int_equal(fakes.live_max, 1);
	assert_string_equal(w->done, "ok ");
}

/* The last place of @part */
static const char *str_last(const char *s, const char *part)
{
	const char *last = NULL;

	while ((s = strstr(s, part)))
		last = s++;
	return last;
}

static void supervision(void **state)
{
	struct world *w = *state;
	struct sk_app apps[] = { { .name = S("net") }, { .name = S("vpn") }, { .name = S("hi") } };
	char *deps[] = { S("vpn"), S("hi"), NULL };
	struct sk_supervision row = { S("net"), deps };
	struct sk_manifest m = {
		.apps = apps, .n_apps = 3, .supervision = &row, .n_supervision = 1
	};
	struct sk_app app = { .restart = SK_RESTART_ALWAYS,
			      .backoff_min_ms = 1,
			      .backoff_max_ms = 1,
			      .keep_logs = true };
	struct sk_capsule *net = make(w, "net", app), *vpn = make(w, "vpn", app),
			  *hi = make(w, "hi", app);

	assert_int_equal(sk_engine_set_supervision(w->e, &m), 0);
	(void)sk_capsule_start(net, NULL, NULL, NULL);
	(void)sk_capsule_start(vpn, NULL, NULL, NULL);
	(void)sk_capsule_start(hi, NULL, NULL, NULL);
	settle(w, 5);
	w->events[0] = '\0';
	die(net, 1);
	settle(w, 30);
	assert_string_equal(w->events, "net:die hi:die hi:stop vpn:die vpn:stop net:start "
				       "vpn:start hi:start ");
	/* A dependant that a user had stopped stays down. */
	(void)sk_capsule_stop(hi, 0, NULL, NULL, NULL);
	settle(w, 5);
	w->events[0] = '\0';
	die(net, 1);
	settle(w, 30);
	assert_string_equal(w->events, "net:die vpn:die vpn:stop net:start vpn:start ");
	assert_int_equal(state_of(hi), SK_CAPSULE_EXITED);
	/* The dependant's own failure leaves the others alone. */
	w->events[0] = '\0';
	die(vpn, 1);
	settle(w, 30);
	assert_string_equal(w->events, "vpn:die vpn:start ");
}

/* Go on until all three run and nothing more happens; a fight between two recoveries would never end. */
static void until_all_run(struct world *w, struct sk_capsule *const v[3])
{
	int n = 0;

	for (int i = 0; i < 3000; i++) {
		n = sd_event_run(w->event, 20000);
		if (n == 0 && state_of(v[0]) == SK_CAPSULE_RUNNING &&
		    state_of(v[1]) == SK_CAPSULE_RUNNING && state_of(v[2]) == SK_CAPSULE_RUNNING)
			return;
	}
	fail_msg("they do not come to rest: %s", w->events);
}

static void run_three(struct world *w, const struct sk_manifest *m, struct sk_capsule *v[3])
{
	const struct sk_app app = { .restart = SK_RESTART_ALWAYS,
				    .backoff_min_ms = 1,
				    .backoff_max_ms = 1,
				    .keep_logs = true };

	assert_int_equal(sk_engine_set_supervision(w->e, m), 0);
	for (int i = 0; i < 3; i++) {
		v[i] = make(w, m->apps[i].name, app);
		(void)sk_capsule_start(v[i], NULL, NULL, NULL);
	}
	settle(w, 5);
	w->events[0] = '\0';
}

/* A chain whose middle dies as it comes up: all are up in the end, each after what it depends on. */
static void a_dependant_fails_as_it_comes_up(void **state)
{
	struct world *w = *state;
	struct sk_app apps[] = { { .name = S("net") }, { .name = S("vpn") }, { .name = S("hi") } };
	char *of_net[] = { S("vpn"), NULL }, *of_vpn[] = { S("hi"), NULL };
	struct sk_supervision rows[] = { { S("net"), of_net }, { S("vpn"), of_vpn } };
	struct sk_manifest m = {
		.apps = apps, .n_apps = 3, .supervision = rows, .n_supervision = 2
	};
	struct sk_capsule *v[3];

	run_three(w, &m, v);
	die(v[0], 1);
	for (int i = 0; i < 3000 && !strstr(w->events, "vpn:start"); i++)
		(void)sd_event_run(w->event, 20000);
	die(v[1], 1);
	until_all_run(w, v);
	assert_non_null(strstr(w->events, "net:die hi:die hi:stop vpn:die vpn:stop net:start "
					  "vpn:start "));
	assert_true(str_last(w->events, "hi:start") > str_last(w->events, "vpn:start"));
	assert_int_equal(fakes.live_max, 3);
}

/* What depends on both waits for both, in whichever order they fail and come back. */
static void two_fail_that_one_depends_on(void **state)
{
	struct world *w = *state;
	struct sk_app apps[] = { { .name = S("net") }, { .name = S("disk") }, { .name = S("hi") } };
	char *deps[] = { S("hi"), NULL };
	struct sk_supervision rows[] = { { S("net"), deps }, { S("disk"), deps } };
	struct sk_manifest m = {
		.apps = apps, .n_apps = 3, .supervision = rows, .n_supervision = 2
	};
	struct sk_capsule *v[3];

	run_three(w, &m, v);
	for (int round = 0; round < 40; round++) {
		w->events[0] = '\0';
		die(v[round & 1], 1);
		/* The other one dies after so many steps of the loop. */
		for (int i = 0; i < round / 2; i++)
			(void)sd_event_run(w->event, 0);
		die(v[!(round & 1)], 1);
		until_all_run(w, v);
		assert_true(str_last(w->events, "hi:start") > str_last(w->events, "net:start"));
		assert_true(str_last(w->events, "hi:start") > str_last(w->events, "disk:start"));
	}
	assert_int_equal(fakes.live_max, 3);
}

/* A dependant dies of itself while what it depends on makes it stop. */
static void a_dependant_fails_as_it_goes_down(void **state)
{
	struct world *w = *state;
	struct sk_app apps[] = { { .name = S("net") }, { .name = S("vpn") }, { .name = S("hi") } };
	char *of_net[] = { S("vpn"), NULL }, *of_vpn[] = { S("hi"), NULL };
	struct sk_supervision rows[] = { { S("net"), of_net }, { S("vpn"), of_vpn } };
	struct sk_manifest m = {
		.apps = apps, .n_apps = 3, .supervision = rows, .n_supervision = 2
	};
	struct sk_capsule *v[3];

	run_three(w, &m, v);
	for (int round = 0; round < 20; round++) {
		w->events[0] = '\0';
		die(v[round & 1], 1);
		for (int i = 0; i < round / 2; i++)
			(void)sd_event_run(w->event, 0);
		die(v[!(round & 1)], 1);
		until_all_run(w, v);
		assert_true(str_last(w->events, "hi:start") > str_last(w->events, "vpn:start"));
	}
	assert_int_equal(fakes.live_max, 3);
}

static void found_again(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c =
		make(w, "a", (struct sk_app){ .restart = SK_RESTART_ALWAYS, .backoff_min_ms = 1 });
	struct sk_capsule_view v;

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	settle(w, 50);
	sk_engine_free(w->e);
	fakes.found = SK_RUNTIME_RUNNING;
	open_world(w);
	c = sk_engine_find(w->e, "a", NULL);
	assert_non_null(c);
	sk_capsule_view(c, &v);
	assert_int_equal(v.state, SK_CAPSULE_RUNNING);
	assert_int_equal(v.pid, 4242);
	assert_int_equal(fakes.starts, 1);
	settle(w, 5);
	sk_engine_free(w->e);
	/* It ended while nobody looked: the policy decides, once. */
	fakes.found = SK_RUNTIME_ENDED;
	open_world(w);
	settle(w, 50);
	c = sk_engine_find(w->e, "a", NULL);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	assert_int_equal(fakes.starts, 2);
}

static void names_and_ids(void **state)
{
	struct world *w = *state;
	struct sk_capsule *a = make(w, "a", (struct sk_app){ 0 });
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule_view v;
	char prefix[13];

	(void)make(w, "b", (struct sk_app){ 0 });
	sk_capsule_view(a, &v);
	(void)snprintf(prefix, sizeof(prefix), "%.12s", v.id);
	assert_ptr_equal(sk_engine_find(w->e, "a", NULL), a);
	assert_ptr_equal(sk_engine_find(w->e, v.id, NULL), a);
	assert_ptr_equal(sk_engine_find(w->e, prefix, NULL), a);
	assert_null(sk_engine_find(w->e, "", &err));
	assert_true(sk_err_is(&err, "not-found"));
	assert_null(sk_engine_find(w->e, "zz", &err));
}

/* Neither takes the other's place; who made which, and what to do, is told. */
static void a_container_has_the_name_of_an_app(void **state)
{
	struct world *w = *state;
	struct sk_app app = { .name = S("web") };
	struct sk_capsule_spec spec = { .app = &app, .image = w->image, .image_name = "x.itb" };
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *web = make(w, "web", (struct sk_app){ 0 }), *c = NULL;
	struct sk_capsule_view v;
	char id[13];

	sk_capsule_view(web, &v);
	(void)snprintf(id, sizeof(id), "%.12s", v.id);
	spec.generation = 7;
	assert_int_equal(sk_engine_create(w->e, &spec, &c, &err), -EEXIST);
	assert_true(sk_err_is(&err, "already-exists"));
	assert_non_null(strstr(err.text, id));
	assert_non_null(strstr(err.text, "docker rm -f web"));
	assert_int_equal(sk_capsule_remove(web, true, NULL, NULL, NULL), 0);
	UNTIL(w, !sk_engine_find(w->e, "web", NULL));
	assert_int_equal(sk_engine_create(w->e, &spec, &c, &err), 0);
	spec.generation = 0;
	assert_int_equal(sk_engine_create(w->e, &spec, &c, &err), -EEXIST);
	assert_string_equal(err.text, "there is a capsule \"web\" already");
}

static void hostile_specs(void **state)
{
	struct world *w = *state;
	static const char *const names[] = { "", ".", "..", "a/b", "-x", "a b", "\xff", "a\nb" };
	struct sk_app app = { 0 };
	struct sk_capsule_spec spec = { .app = &app, .image = w->image };
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		app.name = S(names[i]);
		assert_int_equal(sk_engine_create(w->e, &spec, &c, &err), -EINVAL);
		assert_true(sk_err_is(&err, "bad-name"));
	}
	app.name = S("ok");
	app.kind = SK_KIND_VM;
	assert_int_equal(sk_engine_create(w->e, &spec, &c, &err), -ENOTSUP);
	app.kind = SK_KIND_CONTAINER;
	app.run.user = S("\xff");
	assert_int_equal(sk_engine_create(w->e, &spec, &c, &err), -EINVAL);
	app.run.user = NULL;
	memset(&spec.image, 7, sizeof(spec.image));
	assert_int_equal(sk_engine_create(w->e, &spec, &c, &err), -ENOENT);
}

static void damaged_record_harms_no_other(void **state)
{
	struct world *w = *state;
	char run[256], disk[256];
	struct sk_capsule_view v;

	/* No names that an id could begin with: "a" would find the other one now and then. */
	sk_capsule_view(make(w, "one", (struct sk_app){ 0 }), &v);
	(void)snprintf(run, sizeof(run), "%s/run/records/%s.json", w->dir, v.id);
	(void)snprintf(disk, sizeof(disk), "%s/state/%s/record.json", w->dir, v.id);
	(void)make(w, "two", (struct sk_app){ 0 });
	/* A child writes the record to disk; how soon depends on the machine. */
	for (int i = 0; i < 200 && access(disk, F_OK) < 0; i++)
		settle(w, 50);
	sk_engine_free(w->e);
	assert_int_equal(sk_file_write(AT_FDCWD, run, "{]", 2, 0600), 0);
	open_world(w);
	/* The one in memory is damaged: that on disk is taken. */
	assert_non_null(sk_engine_find(w->e, "one", NULL));
	sk_engine_free(w->e);
	assert_int_equal(sk_file_write(AT_FDCWD, disk, "{]", 2, 0600), 0);
	assert_int_equal(unlink(run), 0);
	open_world(w);
	assert_null(sk_engine_find(w->e, "one", NULL));
	assert_non_null(sk_engine_find(w->e, "two", NULL));
}

/* The daemon was killed as it wrote the first record of a capsule: nothing of it stays. */
static void half_record_goes(void **state)
{
	struct world *w = *state;
	struct sk_digest d = { .bytes = { 7 } };
	char path[256];

	sk_engine_free(w->e);
	(void)snprintf(path, sizeof(path), "%s/run/records/%s.json.new", w->dir, SK_DIGEST_STR(&d));
	assert_int_equal(sk_file_write(AT_FDCWD, path, "{\"form", 6, 0600), 0);
	open_world(w);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(life),
		TEST(end_does_not_wait_for_cleaning),
		TEST(end_waits_where_processes_may_live),
		TEST(idempotent),
		TEST(overtaken_operations_are_told),
		TEST(removal_does_not_wait_for_a_start),
		TEST(failures),
		TEST(restarts_and_gives_up),
		TEST(back_off_can_be_cut_short),
		TEST(grace_time_ends),
		TEST(a_second_stop_has_its_own_time),
		TEST(a_stop_goes_on_with_its_grace),
		TEST(a_check_that_hangs_is_ended),
		TEST(what_a_check_prints_can_be_shown),
		TEST(restart_runs_once),
		TEST(supervision),
		TEST(a_dependant_fails_as_it_comes_up),
		TEST(two_fail_that_one_depends_on),
		TEST(a_dependant_fails_as_it_goes_down),
		TEST(found_again),
		TEST(names_and_ids),
		TEST(a_container_has_the_name_of_an_app),
		TEST(hostile_specs),
		TEST(damaged_record_harms_no_other),
		TEST(half_record_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
