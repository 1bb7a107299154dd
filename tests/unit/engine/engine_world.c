/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "engine_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

struct fakes fakes;

int live(void)
{
	int n = 0;

	for (int i = 0; i < UNITS; i++)
		n += fakes.v[i].running;
	return n;
}

static int go(sd_event_source *s, void *arg)
{
	static const struct sk_err failed = { -EIO, "child-failed", "it does not" };
	struct fake *f = arg;
	struct sk_runtime_unit *u = f->u;
	int what = (int)f->next;

	f->next = NOTHING;
	f->source = sd_event_source_disable_unref(f->source);
	if (what == CREATE) {
		f->created = !fakes.fail_create;
		u->pid = 4242;
		u->events->created(u->arg, fakes.fail_create ? &failed : NULL);
	} else if (what == START) {
		f->running = !fakes.fail_start;
		fakes.live_max = SK_MAX(fakes.live_max, live());
		u->events->started(u->arg, fakes.fail_start ? &failed : NULL);
	} else if (what == DIE) {
		f->running = false;
		u->lost = fakes.lose;
		u->events->died(u->arg, f->code, false);
	} else if (what == CLEAN) {
		f->created = f->running = false;
		u->pid = 0;
		u->events->cleaned(u->arg);
	}
	return 0;
}

void later(struct fake *f, enum fake_step what)
{
	assert_int_equal(f->next, NOTHING);
	f->next = what;
	assert_true(sd_event_add_defer(f->u->kind->env->event, &f->source, go, f) >= 0);
}

static int fake_init(struct sk_runtime_unit *u)
{
	for (int i = 0; i < UNITS; i++)
		if (!fakes.v[i].u) {
			fakes.v[i] = (struct fake){ .u = u };
			u->priv = &fakes.v[i];
			return 0;
		}
	return -ENOMEM;
}

static void fake_done(struct sk_runtime_unit *u)
{
	struct fake *f = u->priv;

	if (!f)
		return;
	sd_event_source_disable_unref(f->source);
	*f = (struct fake){ 0 };
}

static int fake_prepare(struct sk_runtime_unit *u, struct sk_err *err)
{
	struct fake *f = u->priv;

	assert_false(f->created);
	fakes.prepares++;
	if (fakes.fail_prepare)
		return sk_err_set(err, -EIO, "bad-image", "no such luck");
	if (!fakes.hang_create)
		later(f, CREATE);
	return 0;
}

static int fake_start(struct sk_runtime_unit *u, struct sk_err *err)
{
	struct fake *f = u->priv;

	assert_true(f->created && !f->running);
	fakes.starts++;
	later(f, START);
	return 0;
}

static int fake_signal(struct sk_runtime_unit *u, int sig, struct sk_err *err)
{
	struct fake *f = u->priv;

	if (fakes.fail_signal)
		return sk_err_set(err, -EIO, "child-failed", "it does not get through");
	if (f->running && f->next == NOTHING && (sig == SIGKILL || !fakes.ignore_term)) {
		f->code = sig == SIGKILL ? 137 : 0;
		later(f, DIE);
	}
	return 0;
}

static void fake_clean(struct sk_runtime_unit *u)
{
	struct fake *f = u->priv;

	fakes.cleans++;
	(void)snprintf(fakes.cleaned, sizeof(fakes.cleaned), "%s %.4s", u->kind->ops->name, u->id);
	/* What is under way is broken off. */
	f->source = sd_event_source_disable_unref(f->source);
	f->next = NOTHING;
	if (fakes.hold_clean)
		fakes.held = f;
	else
		later(f, CLEAN);
}

static enum sk_runtime_found fake_recover(struct sk_runtime_unit *u, int *ret_code)
{
	struct fake *f = u->priv;

	if (fakes.found == SK_RUNTIME_RUNNING) {
		f->created = f->running = true;
		u->pid = 4242;
	}
	if (fakes.found == SK_RUNTIME_ENDED)
		*ret_code = 9;
	return fakes.found;
}

static int fake_exec(struct sk_runtime_unit *u, char *const *argv, uint64_t timeout_ms,
		     sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = (const char *const *)argv);

	return sk_child_watch(u->kind->env->event, &spec, 100, timeout_ms, done, arg, ret, err);
}

static void fake_end_exec(struct sk_runtime_unit *u)
{
	fakes.ended_execs++;
}

static void fake_reopen(struct sk_runtime_unit *u)
{
}

struct sk_runtime_ops fake_ops = {
	.kind = SK_KIND_CONTAINER,
	.name = "container",
	.folder = "capsules",
	.init = fake_init,
	.done = fake_done,
	.prepare = fake_prepare,
	.start = fake_start,
	.signal = fake_signal,
	.clean = fake_clean,
	.recover = fake_recover,
	.exec = fake_exec,
	.end_exec = fake_end_exec,
	.reopen_log = fake_reopen,
};

static struct sk_runtime_ops fake_vm_ops; /* the same as fake_ops, but for its names */

static void on_event(void *arg, struct sk_capsule *c, const char *event)
{
	struct world *w = arg;
	struct sk_capsule_view v;
	size_t n = strlen(w->events);

	sk_capsule_view(c, &v);
	(void)snprintf(w->events + n, sizeof(w->events) - n, "%s:%s ", v.app->name, event);
}

void open_world(struct world *w)
{
	char run[96], state[96], volumes[96], log[96];
	const struct sk_runtime_kind kinds[] = { { &fake_ops, NULL },
						 { fakes.with_vms ? &fake_vm_ops : NULL, NULL },
						 { NULL } };
	struct sk_engine_config config = { .run_dir = run,
					   .state_dir = state,
					   .volume_dir = volumes,
					   .log_dir = log,
					   .uid_base = 100000,
					   .kinds = kinds };
	struct sk_err err = SK_ERR_INIT;
	struct sk_engine_watch *watch;

	fake_vm_ops = fake_ops;
	fake_vm_ops.kind = SK_KIND_VM;
	fake_vm_ops.name = "vm";
	fake_vm_ops.folder = "vms";
	(void)snprintf(run, sizeof(run), "%s/run", w->dir);
	(void)snprintf(state, sizeof(state), "%s/state", w->dir);
	(void)snprintf(volumes, sizeof(volumes), "%s/volumes", w->dir);
	(void)snprintf(log, sizeof(log), "%s/log", w->dir);
	if (sk_engine_new(w->event, w->store, &config, &w->e, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sk_engine_watch(w->e, on_event, w, &watch), 0);
}

int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char store[96];
	int fd;

	memset(&fakes, 0, sizeof(fakes));
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/test-engine-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chmod(w->dir, 0755), 0);
	assert_true(sd_event_new(&w->event) >= 0);
	(void)snprintf(store, sizeof(store), "%s/store", w->dir);
	assert_int_equal(sk_store_open(store, &w->store, NULL), 0);
	fd = open("/proc/self/cmdline", O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(sk_digest_of_fd(fd, 0, UINT64_MAX, &w->image), 0);
	{
		char text[4096];
		ssize_t n = pread(fd, text, sizeof(text), 0);
		struct sk_staged *st;

		assert_int_equal(sk_staged_open(w->store, &w->image, (uint64_t)n, &st, NULL), 0);
		assert_int_equal(sk_staged_write(st, text, (size_t)n, NULL), 0);
		assert_int_equal(sk_staged_commit(st, NULL), 0);
	}
	(void)close(fd);
	open_world(w);
	*state = w;
	return 0;
}

int teardown(void **state)
{
	struct world *w = *state;

	sk_engine_free(w->e);
	sk_store_close(w->store);
	sd_event_unref(w->event);
	assert_int_equal(sk_rm_rf(AT_FDCWD, w->dir), 0);
	free(w);
	return 0;
}

struct sk_capsule *make(struct world *w, const char *name, struct sk_app app)
{
	struct sk_capsule_spec spec = { .app = &app,
					.image = w->image,
					.image_name = "x.itb",
					.generation = app.keep_logs ? 1 : 0 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = NULL;

	app.name = S(name);
	if (sk_engine_create(w->e, &spec, &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

void on_done(void *arg, const struct sk_err *err)
{
	struct world *w = arg;
	size_t n = strlen(w->done);

	(void)snprintf(w->done + n, sizeof(w->done) - n, "%s ", err ? err->slug : "ok");
}

/* Let the loop run until it has nothing to do for @ms. */
void settle(struct world *w, uint64_t ms)
{
	while (sd_event_run(w->event, ms * 1000) > 0)
		;
}

enum sk_capsule_state state_of(struct sk_capsule *c)
{
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	return v.state;
}

void die(struct sk_capsule *c, int code)
{
	for (int i = 0; i < UNITS; i++)
		if (fakes.v[i].u && fakes.v[i].u->arg == c && fakes.v[i].running &&
		    fakes.v[i].next == NOTHING) {
			fakes.v[i].code = code;
			later(&fakes.v[i], DIE);
		}
}
