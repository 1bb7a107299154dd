/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/str.h"
#include "io/sys/child.h"

#define SH(script) ((const char *const[]){ "sh", "-c", (script), NULL })

struct fixture {
	sd_event *event;
	struct sk_child *child;
	int calls, status;
	bool free_inside;
	char out[256], tail[2048];
};

static void on_done(void *arg, int status, const char *out, const char *err_tail)
{
	struct fixture *f = arg;

	f->calls++;
	f->status = status;
	if (f->free_inside) {
		sk_child_free(f->child);
		f->child = NULL;
	}
	(void)snprintf(f->out, sizeof(f->out), "%s", out);
	(void)snprintf(f->tail, sizeof(f->tail), "%s", err_tail);
	(void)sd_event_exit(f->event, 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sd_event_new(&f->event) >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sk_child_free(f->child);
	sd_event_unref(f->event);
	free(f);
	return 0;
}

static void watch(struct fixture *f, const char *script, size_t out_max, uint64_t timeout_ms)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = SH(script));

	assert_int_equal(
		sk_child_watch(f->event, &spec, out_max, timeout_ms, on_done, f, &f->child, NULL),
		0);
	assert_int_equal(f->calls, 0);
}

static void output_and_status(void **state)
{
	struct fixture *f = *state;

	watch(f, "echo out; echo problem >&2; exit 7", 100, 0);
	assert_true(sk_child_pid(f->child) > 0);
	(void)sd_event_loop(f->event);
	assert_int_equal(f->calls, 1);
	assert_true(WIFEXITED(f->status));
	assert_int_equal(WEXITSTATUS(f->status), 7);
	assert_string_equal(f->out, "out\n");
	assert_string_equal(f->tail, "problem");
}

static void output_is_bounded(void **state)
{
	struct fixture *f = *state;

	watch(f, "seq 1 100000", 6, 0);
	(void)sd_event_loop(f->event);
	assert_string_equal(f->out, "1\n2\n3\n");
	assert_int_equal(f->status, 0);
}

static void timeout_kills(void **state)
{
	struct fixture *f = *state;

	watch(f, "exec sleep 1000", 6, 20);
	(void)sd_event_loop(f->event);
	assert_true(WIFSIGNALED(f->status));
	assert_int_equal(WTERMSIG(f->status), SIGKILL);
}

static void may_be_freed_inside(void **state)
{
	struct fixture *f = *state;

	f->free_inside = true;
	watch(f, "echo out; echo problem >&2", 100, 1000);
	(void)sd_event_loop(f->event);
	assert_string_equal(f->out, "out\n");
	assert_string_equal(f->tail, "problem");
}

static void grandchild_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	pid_t grandchild;

	watch(f, "sleep 1000 & echo $!", 100, 0);
	(void)sd_event_loop(f->event);
	assert_int_equal(f->status, 0);
	grandchild = (pid_t)atoi(f->out);
	assert_true(grandchild > 1);
	assert_int_equal(kill(grandchild, SIGKILL), 0);
}

static void freeing_kills_and_collects(void **state)
{
	struct fixture *f = *state;
	int r = 0;

	watch(f, "exec sleep 1000", 100, 0);
	sk_child_free(TAKE_PTR(f->child));
	for (int i = 0; i < 1000 && r >= 0; i++) {
		(void)sd_event_run(f->event, 1000);
		r = waitpid(-1, NULL, WNOHANG | WNOWAIT);
	}
	assert_int_equal(r, -1);
	assert_int_equal(f->calls, 0);
}

static void missing_program(void **state)
{
	struct fixture *f = *state;
	struct sk_child_spec spec =
		SK_CHILD_SPEC(.argv = (const char *const[]){ "no-such-program-here", NULL });
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_child_watch(f->event, &spec, 1, 0, on_done, f, &f->child, &err),
			 -ENOENT);
	assert_null(f->child);
	assert_true(sk_err_is(&err, "child-failed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(output_and_status, setup, teardown),
		cmocka_unit_test_setup_teardown(output_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(timeout_kills, setup, teardown),
		cmocka_unit_test_setup_teardown(may_be_freed_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(grandchild_is_not_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(freeing_kills_and_collects, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_program, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
