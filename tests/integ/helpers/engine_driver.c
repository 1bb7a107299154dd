/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The capsule engine on its own, driven by lines of text: what test_engine.py talks to.
 * usage: engine_driver FOLDER [uid-base]
 *
 *   image NAME FILE            a root file system (squashfs) becomes an image: "image NAME DIGEST"
 *   create JSON                {"app": …, "image": digest, "generation": n, …}: "created NAME ID"
 *   prepare|start|stop|restart|remove|force-remove NAME [grace ms]: later "done WORD NAME ok|SLUG TEXT"
 *   kill NAME SIGNAL
 *   halt                       later "done halt all ok"
 *   supervise JSON             {"order": [name], "rules": [[name, dependant, …]]}
 *   list                       "list [ … ]"
 *   logs NAME TAIL FOLLOW      "log NAME STREAM WHOLE TEXT(hex)", "logend NAME"
 *   quit
 * Events: "event NAME EVENT".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/app.h"
#include "engine/capsule/engine.h"
#include "engine/capsule/logs.h"
#include "engine/runtime/container/container.h"
#include "io/json.h"
#include "model/image.h"

#define LINE_MAX_BYTES (1u << 20)

static struct {
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *engine;
	char line[LINE_MAX_BYTES];
	size_t len;
} d;

struct op {
	char *word, *name;
};

static void say_error(const char *word, const char *name, const struct sk_err *err)
{
	printf("done %s %s %s %s\n", word, name, err ? err->slug : "ok", err ? err->text : "");
}

static void on_done(void *arg, const struct sk_err *err)
{
	struct op *op = arg;

	say_error(op->word, op->name, err);
	free(op->word);
	free(op->name);
	free(op);
}

static void on_event(void *arg, struct sk_capsule *c, const char *event)
{
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	printf("event %s %s\n", v.app->name, event);
}

static int copy_image(const char *file, const char *name, int out)
{
	_cleanup_close_ int in = open(file, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ void *tree = NULL;
	_cleanup_free_ char *name_copy = strdup(name), *arch = strdup("amd64");
	struct sk_image_info info = { .type = SK_ROOTFS_SQUASHFS, .name = name_copy, .arch = arch };
	struct sk_err err = SK_ERR_INIT;
	size_t len;
	int r;

	if (in < 0)
		return -errno;
	info.rootfs_size = (uint64_t)lseek(in, 0, SEEK_END);
	(void)lseek(in, 0, SEEK_SET);
	r = sk_digest_of_fd(in, 0, UINT64_MAX, &info.rootfs_digest);
	if (r == 0)
		r = sk_image_build_tree(&info, &tree, &len, &err);
	if (r < 0) {
		printf("error %s\n", err.text);
		return r;
	}
	r = sk_fd_write(out, tree, len);
	return r < 0 ? r : sk_fd_copy(in, out, UINT64_MAX, NULL, NULL);
}

static void cmd_image(char *rest)
{
	char *name = strtok(rest, " "), *file = strtok(NULL, "");
	char path[] = "/tmp/engine-driver-XXXXXX";
	_cleanup_close_ int fd = mkostemp(path, O_CLOEXEC);
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest digest;
	int r;

	(void)unlink(path);
	r = fd < 0 || !file ? -EINVAL : copy_image(file, name, fd);
	if (r == 0)
		r = sk_digest_of_fd(fd, 0, UINT64_MAX, &digest);
	if (r == 0 && !sk_store_has(d.store, &digest)) {
		uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END);

		(void)lseek(fd, 0, SEEK_SET);
		r = sk_store_add_fd(d.store, fd, &digest, size, &err);
	}
	if (r < 0)
		printf("error image %s %s\n", strerror(-r), err.text);
	else
		printf("image %s %s\n", name, SK_DIGEST_STR(&digest));
}

static int create(const json_t *o, struct sk_err *err)
{
	struct sk_app app = { 0 };
	struct sk_capsule_spec spec = { .app = &app, .image_name = "image.itb" };
	struct sk_capsule *c;
	struct sk_capsule_view v;
	int r = sk_app_from_json(json_object_get(o, "app"), &app, err);

	if (r < 0)
		return r;
	r = sk_json_need_digest(o, "image", &spec.image, err);
	r = r ?: sk_json_get_u64(o, "generation", &spec.generation, err);
	r = r ?: sk_json_get_bool(o, "tty", &spec.tty, err);
	r = r ?: sk_json_get_bool(o, "auto_remove", &spec.auto_remove, err);
	r = r ?: sk_engine_create(d.engine, &spec, &c, err);
	if (r == 0) {
		sk_capsule_view(c, &v);
		printf("created %s %s\n", app.name, v.id);
	}
	sk_app_done(&app);
	return r;
}

static void cmd_create(char *rest)
{
	_cleanup_json_ json_t *o = NULL;
	struct sk_err err = SK_ERR_INIT;
	int r = sk_json_parse(rest, strlen(rest), &o, &err);

	if (r == 0)
		r = create(o, &err);
	if (r < 0)
		printf("error create %s %s\n", err.slug, err.text);
}

static int operate(const char *word, struct sk_capsule *c, uint64_t ms, struct op *op,
		   struct sk_err *err)
{
	if (sk_streq(word, "prepare"))
		return sk_capsule_prepare(c, on_done, op, err);
	if (sk_streq(word, "start"))
		return sk_capsule_start(c, on_done, op, err);
	if (sk_streq(word, "stop"))
		return sk_capsule_stop(c, ms, on_done, op, err);
	if (sk_streq(word, "restart"))
		return sk_capsule_restart(c, ms, on_done, op, err);
	return sk_capsule_remove(c, sk_streq(word, "force-remove"), on_done, op, err);
}

static void cmd_operate(const char *word, char *rest)
{
	char *name = strtok(rest, " "), *ms = strtok(NULL, " ");
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = sk_engine_find(d.engine, name ? name : "", &err);
	struct op *op = calloc(1, sizeof(*op));

	op->word = strdup(word);
	op->name = strdup(name ? name : "?");
	if (!c || operate(word, c, ms ? strtoull(ms, NULL, 10) : UINT64_MAX, op, &err) < 0)
		on_done(op, &err);
}

static void cmd_halt(void)
{
	struct sk_err err = SK_ERR_INIT;
	struct op *op = calloc(1, sizeof(*op));

	op->word = strdup("halt");
	op->name = strdup("all");
	if (sk_engine_halt(d.engine, on_done, op, &err) < 0)
		on_done(op, &err);
}

static void cmd_kill(char *rest)
{
	char *name = strtok(rest, " "), *sig = strtok(NULL, " ");
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = sk_engine_find(d.engine, name, &err);

	if (!c || sk_capsule_kill(c, atoi(sig), &err) < 0)
		printf("error kill %s %s\n", err.slug, err.text);
	else
		printf("killed %s\n", name);
}

static void cmd_supervise(char *rest)
{
	_cleanup_json_ json_t *o = NULL;
	struct sk_app apps[16] = { 0 };
	struct sk_supervision rules[16] = { 0 };
	struct sk_manifest m = { .apps = apps, .supervision = rules };
	const json_t *list, *item;
	size_t i;

	if (sk_json_parse(rest, strlen(rest), &o, NULL) < 0)
		return;
	list = json_object_get(o, "order");
	json_array_foreach (list, i, item)
		apps[m.n_apps++].name = strdup(json_string_value(item));
	list = json_object_get(o, "rules");
	json_array_foreach (list, i, item) {
		struct sk_supervision *s = &rules[m.n_supervision++];

		s->app = strdup(json_string_value(json_array_get(item, 0)));
		for (size_t k = 1; k < json_array_size(item); k++)
			(void)sk_strv_add(&s->dependants,
					  json_string_value(json_array_get(item, k)));
	}
	printf("supervised %d\n", sk_engine_set_supervision(d.engine, &m));
	for (i = 0; i < m.n_apps; i++)
		free(apps[i].name);
	for (i = 0; i < m.n_supervision; i++) {
		free(rules[i].app);
		sk_strv_free(rules[i].dependants);
	}
}

static void cmd_list(void)
{
	_cleanup_json_ json_t *list = json_array();
	_cleanup_free_ char *text = NULL;
	struct sk_capsule *c;
	size_t pos = 0;

	while ((c = sk_engine_next(d.engine, &pos))) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		json_array_append_new(
			list,
			json_pack("{ss ss ss si si si sb si si ss? ss? sI}", "id", v.id, "name",
				  v.app->name, "state", sk_capsule_state_name(v.state), "health",
				  (int)v.health, "pid", (int)v.pid, "exit_code", v.exit_code, "oom",
				  (int)v.oom_killed, "restarts", (int)v.restarts, "slot",
				  (int)v.slot, "error", v.error, "health_output", v.health_output,
				  "generation", (json_int_t)v.generation));
	}
	text = json_dumps(list, JSON_COMPACT);
	printf("list %s\n", text);
}

struct reader {
	struct sk_logs *logs;
	char name[SK_NAME_MAX + 1];
};

static int on_line(void *arg, const struct sk_log_line *l)
{
	struct reader *r = arg;
	bool whole = l->len > 0 && l->text[l->len - 1] == '\n';

	printf("log %s %d %d ", r->name, l->stream, whole);
	for (size_t i = 0; i < l->len; i++)
		printf("%02x", (unsigned char)l->text[i]);
	printf("\n");
	return 0;
}

static void on_log_end(void *arg)
{
	struct reader *r = arg;

	printf("logend %s\n", r->name);
	sk_logs_close(r->logs);
	free(r);
}

static void cmd_logs(char *rest)
{
	char *name = strtok(rest, " "), *tail = strtok(NULL, " "), *follow = strtok(NULL, " ");
	struct sk_log_query q = { .follow = follow && *follow == '1',
				  .stdout_ = true,
				  .stderr_ = true,
				  .tail = tail ? atoll(tail) : -1 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = sk_engine_find(d.engine, name, &err);
	struct reader *r = calloc(1, sizeof(*r));

	(void)snprintf(r->name, sizeof(r->name), "%.63s", name);
	if (!c || sk_logs_open(c, &q, on_line, on_log_end, r, &r->logs, &err) < 0) {
		printf("error logs %s %s\n", err.slug, err.text);
		free(r);
	}
}

static void command(char *line)
{
	char *word = strtok(line, " "), *rest = strtok(NULL, "");
	char none[] = "";

	if (!word)
		return;
	rest = rest ? rest : none;
	if (sk_streq(word, "quit"))
		(void)sd_event_exit(d.event, 0);
	else if (sk_streq(word, "image"))
		cmd_image(rest);
	else if (sk_streq(word, "create"))
		cmd_create(rest);
	else if (sk_streq(word, "kill"))
		cmd_kill(rest);
	else if (sk_streq(word, "halt"))
		cmd_halt();
	else if (sk_streq(word, "supervise"))
		cmd_supervise(rest);
	else if (sk_streq(word, "list"))
		cmd_list();
	else if (sk_streq(word, "logs"))
		cmd_logs(rest);
	else
		cmd_operate(word, rest);
}

static int on_stdin(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	ssize_t n = 0; /* a line that does not fit ends the program as the end of the input does */
	char *nl;

	if (d.len < sizeof(d.line) - 1)
		n = read(fd, d.line + d.len, sizeof(d.line) - 1 - d.len);
	if (n <= 0)
		return sd_event_exit(d.event, 0);
	d.len += (size_t)n;
	d.line[d.len] = '\0';
	while ((nl = strchr(d.line, '\n'))) {
		size_t len = (size_t)(nl - d.line) + 1;

		*nl = '\0';
		command(d.line);
		memmove(d.line, d.line + len, d.len - len + 1);
		d.len -= len;
	}
	(void)fflush(stdout);
	return 0;
}

static int open_engine(const char *base, uint32_t uid_base, struct sk_err *err)
{
	_cleanup_free_ char *store = sk_asprintf("%s/store", base);
	_cleanup_free_ char *run = sk_asprintf("%s/run", base);
	_cleanup_free_ char *state = sk_asprintf("%s/capsules", base);
	_cleanup_free_ char *volumes = sk_asprintf("%s/volumes", base);
	_cleanup_free_ char *logs = sk_asprintf("%s/log", base);
	const struct sk_container_settings container = { "crun", "conmon" };
	const struct sk_runtime_kind kinds[] = { { &sk_container_ops, &container }, { NULL } };
	struct sk_engine_config config = {
		.run_dir = run,
		.state_dir = state,
		.volume_dir = volumes,
		.log_dir = logs,
		.uid_base = uid_base,
		.log_max_bytes = 65536,
		.kinds = kinds,
	};
	struct sk_engine_watch *w;
	int r = sk_store_open(store, &d.store, err);

	r = r ?: sk_engine_new(d.event, d.store, &config, &d.engine, err);
	return r ?: sk_engine_watch(d.engine, on_event, NULL, &w);
}

int main(int argc, char **argv)
{
	struct sk_err err = SK_ERR_INIT;

	if (argc < 2)
		return 2;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	sk_log_open("engine-driver", getenv("DRIVER_DEBUG") ? SK_LOG_DEBUG : SK_LOG_INFO);
	if (sd_event_new(&d.event) < 0)
		return 1;
	if (open_engine(argv[1], argc > 2 ? (uint32_t)atol(argv[2]) : 1000000, &err) < 0) {
		printf("failed %s %s\n", err.slug, err.text);
		return 1;
	}
	printf("ready\n");
	if (sd_event_add_io(d.event, NULL, 0, EPOLLIN, on_stdin, NULL) < 0)
		return 1;
	(void)sd_event_loop(d.event);
	sk_engine_free(d.engine);
	sk_store_close(d.store);
	sd_event_unref(d.event);
	return 0;
}
