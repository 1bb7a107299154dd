/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/text.h"
#include "cli/capsule/capsule.h"
#include "io/image/head.h"
#include "io/json.h"

/* An image file, opened and understood. */
struct image {
	int fd;
	uint64_t size;
	struct sk_digest digest;
	struct sk_image_info *info;
};

static void image_done(struct image *i)
{
	sk_closep(&i->fd);
	sk_image_info_free(i->info);
}

static int image_open(const char *path, struct image *i, struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	i->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (i->fd < 0 || fstat(i->fd, &st) < 0)
		return sk_err_set(err, -errno, errno == ENOENT ? "not-found" : "io", "%s: %s", path,
				  strerror(errno));
	if (!S_ISREG(st.st_mode))
		return sk_err_set(err, -EINVAL, "bad-image", "%s is not a file", path);
	i->size = (uint64_t)st.st_size;
	r = sk_image_head_read(i->fd, sk_image_tree_size, &tree, &len, err);
	if (r == 0)
		r = sk_image_parse(tree, len, i->size, &i->info, err);
	if (r < 0)
		return sk_err_prefix(err, "%s", path);
	r = sk_digest_of_fd(i->fd, 0, i->size, &i->digest);
	return r < 0 ? sk_err_set(err, r, "io", "%s: %s", path, strerror(-r)) : 0;
}

static const char *type_name(const struct image *i)
{
	return i->info->type == SK_ROOTFS_EROFS ? "erofs" : "squashfs";
}

/* Words that are not given are left out. Steals @value. */
static void set_if(json_t *obj, const char *key, json_t *value)
{
	if (value)
		(void)json_object_set_new(obj, key, value);
}

static json_t *strv_json(char *const *v)
{
	json_t *list = v && *v ? json_array() : NULL;

	/* What stands in an image need not be UTF-8; then the word is left out. */
	SK_STRV_FOREACH (s, v) {
		json_t *one = json_string(*s);

		(void)json_array_append_new(list, one ? one : json_string("?"));
	}
	return list;
}

static json_t *capsule_health_json(const struct sk_health *h)
{
	json_t *o;

	if (h->kind == SK_HEALTH_NONE)
		return NULL;
	o = json_object();
	set_if(o, "command", strv_json(h->command));
	set_if(o, "http", h->http_path ? json_string(h->http_path) : NULL);
	set_if(o, "port", h->port ? json_integer(h->port) : NULL);
	set_if(o, "interval_ms", json_integer((json_int_t)h->interval_ms));
	set_if(o, "timeout_ms", json_integer((json_int_t)h->timeout_ms));
	set_if(o, "start_period_ms", json_integer((json_int_t)h->start_period_ms));
	set_if(o, "retries", json_integer(h->retries));
	return o;
}

static json_t *capsule_run_json(const struct sk_run *run)
{
	json_t *o = json_object(), *env = run->n_env > 0 ? json_object() : NULL;
	char signal[16];

	for (size_t i = 0; i < run->n_env; i++)
		set_if(env, run->env[i].name, json_string(run->env[i].value));
	set_if(o, "command", strv_json(run->command));
	set_if(o, "arguments", strv_json(run->arguments));
	set_if(o, "environment", env);
	set_if(o, "user", run->user ? json_string(run->user) : NULL);
	set_if(o, "working_dir", run->working_dir ? json_string(run->working_dir) : NULL);
	set_if(o, "stop_signal",
	       run->stop_signal ? json_string(sk_signal_name(signal, run->stop_signal)) : NULL);
	set_if(o, "stop_grace_ms",
	       run->stop_grace_ms ? json_integer((json_int_t)run->stop_grace_ms) : NULL);
	set_if(o, "health", capsule_health_json(&run->health));
	return o;
}

static void show_json(const struct image *i)
{
	const struct sk_image_info *info = i->info;
	json_t *o = json_object();

	set_if(o, "name", json_string(info->name));
	set_if(o, "version", info->version ? json_string(info->version) : NULL);
	set_if(o, "arch", json_string(info->arch));
	set_if(o, "kind", json_string(info->kind == SK_KIND_VM ? "vm" : "container"));
	set_if(o, "created_s", json_integer((json_int_t)info->created_s));
	set_if(o, "digest", json_string(SK_DIGEST_STR(&i->digest)));
	set_if(o, "size_bytes", json_integer((json_int_t)i->size));
	set_if(o, "rootfs",
	       json_pack("{s:s, s:s, s:I, s:I}", "type", type_name(i), "digest",
			 SK_DIGEST_STR(&info->rootfs_digest), "offset_bytes",
			 (json_int_t)info->rootfs_offset, "size_bytes",
			 (json_int_t)info->rootfs_size));
	set_if(o, "run", capsule_run_json(&info->run));
	sk_cli_print_json(o);
}

/* A line "what  value"; nothing without a value. It may come from a hostile image. */
static void line(const char *what, const char *value)
{
	_cleanup_free_ char *copy = value ? strdup(value) : NULL;

	sk_text_clean(copy, "");
	if (copy)
		(void)printf("%-14s  %s\n", what, copy);
}

static bool is_plain(const char *word)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"%+,-./:=@_";

	return *word && word[strspn(word, letters)] == '\0';
}

/* As a shell would take them, so that one word with a blank is not two. */
static void line_strv(const char *what, char *const *v)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(1u << 20);
	int r = 0;

	SK_STRV_FOREACH (word, v) {
		const char *sep = b.len ? " " : "";

		if (is_plain(*word)) {
			r = r < 0 ? r : sk_buf_addf(&b, "%s%s", sep, *word);
			continue;
		}
		r = r < 0 ? r : sk_buf_addf(&b, "%s'", sep);
		for (const char *c = *word; *c; c++)
			r = r < 0	 ? r
			    : *c == '\'' ? sk_buf_adds(&b, "'\\''")
					 : sk_buf_add(&b, c, 1);
		r = r < 0 ? r : sk_buf_adds(&b, "'");
	}
	line(what, r < 0 ? "(too long to show)" : b.data);
}

static void lines_of_health(const struct sk_health *h)
{
	_cleanup_free_ char *http = NULL;

	if (h->kind == SK_HEALTH_COMMAND)
		line_strv("health command", h->command);
	if (h->kind == SK_HEALTH_HTTP) {
		http = sk_asprintf("port %u, GET %s", h->port, h->http_path);
		line("health", http);
	}
	if (h->kind == SK_HEALTH_TCP) {
		http = sk_asprintf("port %u", h->port);
		line("health", http);
	}
}

static void lines_of_run(const struct sk_run *run)
{
	char signal[16];

	line_strv("command", run->command);
	line_strv("arguments", run->arguments);
	for (size_t i = 0; i < run->n_env; i++) {
		_cleanup_free_ char *v = sk_asprintf("%s=%s", run->env[i].name, run->env[i].value);

		line(i == 0 ? "environment" : "", v);
	}
	line("user", run->user);
	line("working folder", run->working_dir);
	line("stop signal", run->stop_signal ? sk_signal_name(signal, run->stop_signal) : NULL);
	lines_of_health(&run->health);
}

static void show_lines(const struct image *i)
{
	char size[32], when[32];
	_cleanup_free_ char *rootfs = NULL;

	line("name", i->info->name);
	line("version", i->info->version);
	line("architecture", i->info->arch);
	line("time stamp", sk_time_format(when, i->info->created_s));
	line("digest", SK_DIGEST_STR(&i->digest));
	line("size", sk_format_size(size, i->size));
	rootfs = sk_asprintf("%s, %s at offset %" PRIu64, type_name(i),
			     sk_format_size(size, i->info->rootfs_size), i->info->rootfs_offset);
	line("root", rootfs);
	line("root digest", SK_DIGEST_STR(&i->info->rootfs_digest));
	lines_of_run(&i->info->run);
}

static int run_capsule_show(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(image_done) struct image i = { .fd = -1 };
	int r = image_open(sk_cli_arg(cli, 0), &i, err);

	if (r < 0)
		return r;
	if (sk_cli_json(cli))
		show_json(&i);
	else
		show_lines(&i);
	return 0;
}

static int verify_one(const char *path, struct image *i, struct sk_err *err)
{
	struct sk_digest got;
	int r = image_open(path, i, err);

	if (r < 0)
		return r;
	r = sk_digest_of_fd(i->fd, i->info->rootfs_offset, i->info->rootfs_size, &got);
	if (r < 0)
		return sk_err_set(err, r, "io", "%s: %s", path, strerror(-r));
	if (!sk_digest_equal(&got, &i->info->rootfs_digest))
		return sk_err_set(
			err, -EBADMSG, "digest-mismatch",
			"%s is damaged: its root file system has SHA-256 %s, its tree says "
			"%s",
			path, SK_DIGEST_STR(&got), SK_DIGEST_STR(&i->info->rootfs_digest));
	return 0;
}

static int run_capsule_verify(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *list = json_array();

	for (int n = 0; n < sk_cli_argc(cli); n++) {
		_cleanup_(image_done) struct image i = { .fd = -1 };
		const char *path = sk_cli_arg(cli, n);
		int r = verify_one(path, &i, err);

		if (r < 0)
			return r;
		if (!sk_cli_json(cli))
			(void)printf("%s: good, sha256:%s\n", path, SK_DIGEST_STR(&i.digest));
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "file", path,
							    "digest", SK_DIGEST_STR(&i.digest),
							    "size_bytes", (json_int_t)i.size));
	}
	if (sk_cli_json(cli))
		sk_cli_print_json(json_incref(list));
	return 0;
}

static const char *const show_examples[] = {
	"skerry capsule show nginx.itb\twhat is inside, and how it runs",
	NULL,
};

const struct sk_cmd sk_cmd_capsule_show = {
	.name = "show",
	.summary = "say what a capsule image is",
	.args = "IMAGE",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Name, version, architecture, root file system, run configuration, and the SHA-256 of "
		"the whole file, which is its name on a device.",
	.examples = show_examples,
	.run = run_capsule_show,
};

const struct sk_cmd sk_cmd_capsule_verify = {
	.name = "verify",
	.summary = "check that capsule images are whole",
	.args = "IMAGE...",
	.min_args = 1,
	.max_args = -1,
	.about =
		"Reads each image as a device does and compares its root file system with the SHA-256 "
		"in its tree. Who made an image is not told by the image: that is the release's "
		"signature.",
	.run = run_capsule_verify,
};
