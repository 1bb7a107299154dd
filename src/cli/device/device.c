/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/device/device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/http/client.h"
#include "io/json.h"

/* Commands that talk to skerryd on this device: status, generations, store, capsules. */

#define DEFAULT_SOCKET "/run/skerry/skerry.sock"

const struct sk_opt sk_device_opts[] = {
	{ "socket", 0, "FILE", "skerryd's socket (or SKERRY_SOCKET; default " DEFAULT_SOCKET ")" },
	{ 0 },
};

int sk_device_connect(struct sk_cli *cli, struct sk_http_client **ret, struct sk_err *err)
{
	const char *socket = sk_cli_opt(cli, "socket") ?: getenv("SKERRY_SOCKET");
	struct sk_http_client_config config = {
		.base_url = "http://skerry",
		.unix_socket = socket && *socket ? socket : DEFAULT_SOCKET,
	};

	return sk_http_client_new(&config, ret, err);
}

int sk_device_request(struct sk_cli *cli, const char *method, const char *path, json_t **ret,
		      struct sk_err *err)
{
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	int r = sk_device_connect(cli, &c, err);

	return r < 0 ? r : sk_http_call_json(c, method, path, NULL, ret, err);
}

const char *sk_device_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static const char *number(char buf[static 32], const json_t *j, const char *key)
{
	(void)snprintf(buf, 32, "%" JSON_INTEGER_FORMAT,
		       json_integer_value(json_object_get(j, key)));
	return buf;
}

static const char *short_digest(char buf[static 32], const json_t *j, const char *key)
{
	(void)snprintf(buf, 32, "%.12s", sk_device_text(j, key));
	return buf;
}

/* status */

static void print_generation(const char *label, const json_t *g)
{
	char n[32];

	if (!json_is_object(g)) {
		(void)printf("%-12s none\n", label);
		return;
	}
	(void)printf("%-12s %s: %s %s, %s%s\n", label, number(n, g, "generation"),
		     sk_device_text(g, "project"), sk_device_text(g, "version"),
		     sk_device_text(g, "state"),
		     json_is_true(json_object_get(g, "ephemeral")) ? ", until the next boot" : "");
}

static void print_update(const json_t *u)
{
	const char *reason = sk_device_text(u, "reason");
	char n[32];

	(void)printf("%-12s %s", "update", sk_device_text(u, "step"));
	if (json_integer_value(json_object_get(u, "generation")) > 0)
		(void)printf(" (generation %s, version %s)", number(n, u, "generation"),
			     sk_device_text(u, "version"));
	(void)printf("%s%s\n", *reason ? ": " : "", reason);
}

static void print_capsules(const json_t *c, bool halted)
{
	char total[32], running[32], unhealthy[32];

	(void)printf("%-12s %s, %s running, %s unhealthy%s\n", "capsules",
		     number(total, c, "total"), number(running, c, "running"),
		     number(unhealthy, c, "unhealthy"),
		     halted ? "; stopped until skerryd is started again" : "");
}

static void print_missing(const json_t *missing)
{
	size_t i;
	json_t *image;

	json_array_foreach (missing, i, image)
		(void)printf("%-12s image %s, damaged or lost: it is needed again\n", "missing",
			     sk_device_text(image, "digest"));
}

static int run_device_status(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *s = NULL;
	const json_t *store;
	char size[32];
	int r = sk_device_request(cli, "GET", "/skerry/v1/status", &s, err);

	if (r < 0)
		return r;
	if (sk_cli_json(cli)) {
		sk_cli_print_json(TAKE_PTR(s));
		return 0;
	}
	store = json_object_get(s, "store");
	(void)printf("%-12s %s\n", "skerryd", sk_device_text(s, "skerry"));
	print_generation("running", json_object_get(s, "generation"));
	print_generation("last good", json_object_get(s, "good"));
	print_update(json_object_get(s, "update"));
	print_capsules(json_object_get(s, "capsules"), json_is_true(json_object_get(s, "halted")));
	(void)printf("%-12s %s%s\n", "clock", sk_device_text(json_object_get(s, "clock"), "now"),
		     json_is_true(json_object_get(json_object_get(s, "clock"), "trusted"))
			     ? ""
			     : ", not trusted");
	(void)printf("%-12s %s\n", "free",
		     sk_format_size(size, (uint64_t)json_integer_value(
						  json_object_get(store, "free_bytes"))));
	print_missing(json_object_get(s, "missing"));
	return 0;
}

static const char *const status_examples[] = {
	"skerry status\twhat runs on this device",
	"skerry status --json --socket /run/skerry/skerry.sock\tfor programs",
	NULL,
};

const struct sk_cmd sk_cmd_status = {
	.name = "status",
	.summary = "show what runs on this device",
	.about = "The running and the last good generation, an update in progress, capsules, clock "
		 "and free room, as skerryd tells them.",
	.examples = status_examples,
	.opts = sk_device_opts,
	.run = run_device_status,
};

int sk_device_list(struct sk_cli *cli, const char *path, const char *const *headings,
		   int (*add_row)(struct sk_table *t, const json_t *item), struct sk_err *err)
{
	_cleanup_json_ json_t *list = NULL;
	struct sk_table *t;
	size_t i;
	json_t *item;
	int r = sk_device_request(cli, "GET", path, &list, err);

	if (r < 0)
		return r;
	if (sk_cli_json(cli)) {
		sk_cli_print_json(TAKE_PTR(list));
		return 0;
	}
	t = sk_table_new(headings);
	json_array_foreach (list, i, item) {
		r = add_row(t, item);
		if (r < 0)
			break;
	}
	sk_table_print(t);
	return r < 0 ? sk_err_oom(err) : 0;
}

/* generation list */

static int add_generation(struct sk_table *t, const json_t *g)
{
	bool running = json_is_true(json_object_get(g, "running"));
	char n[32], id[32], state[64];

	(void)snprintf(state, sizeof(state), "%s%s%s", sk_device_text(g, "state"),
		       running ? ", running" : "",
		       json_is_true(json_object_get(g, "damaged")) ? ", damaged" : "");
	return sk_table_row(t, number(n, g, "generation"), sk_device_text(g, "version"), state,
			    short_digest(id, g, "release"), sk_device_text(g, "changed"),
			    sk_device_text(g, "reason"), NULL);
}

static int run_generation_list(struct sk_cli *cli, struct sk_err *err)
{
	static const char *const headings[] = { "GENERATION", "VERSION", "STATE", "RELEASE",
						"CHANGED",    "REASON",	 NULL };

	return sk_device_list(cli, "/skerry/v1/generations", headings, add_generation, err);
}

static const struct sk_cmd cmd_generation_list = {
	.name = "list",
	.summary = "list the generations of this device",
	.about = "Each release that was applied made a generation: staged, trying, good or bad. A "
		 "bad one tells why it was left.",
	.opts = sk_device_opts,
	.run = run_generation_list,
};

static const struct sk_cmd *const generation_cmds[] = { &cmd_generation_list, NULL };

const struct sk_cmd sk_cmd_generation = {
	.name = "generation",
	.summary = "the releases that this device went through",
	.sub = generation_cmds,
};

/* store */

static int add_image(struct sk_table *t, const json_t *image)
{
	char size[32];
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(image, "size_bytes"));

	return sk_table_row(t, sk_device_text(image, "digest"), sk_format_size(size, bytes), NULL);
}

static int run_store_list(struct sk_cli *cli, struct sk_err *err)
{
	static const char *const headings[] = { "DIGEST", "SIZE", NULL };

	return sk_device_list(cli, "/skerry/v1/images", headings, add_image, err);
}

/* Return: how many of @kind are damaged */
static size_t print_checked(const json_t *counts, const char *kind)
{
	json_t *damaged = json_object_get(counts, "damaged"), *d;
	size_t i;

	json_array_foreach (damaged, i, d)
		(void)printf("damaged: %s\n", json_string_value(d));
	(void)printf("%" JSON_INTEGER_FORMAT " %s checked, %zu damaged\n",
		     json_integer_value(json_object_get(counts, "checked")), kind,
		     json_array_size(damaged));
	return json_array_size(damaged);
}

static int run_store_verify(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	size_t n;
	int r = sk_device_request(cli, "POST", "/skerry/v1/store/verify", &answer, err);

	if (r < 0)
		return r;
	if (sk_cli_json(cli)) {
		sk_cli_print_json(TAKE_PTR(answer));
		return 0;
	}
	n = print_checked(answer, "images");
	n += print_checked(json_object_get(answer, "releases"), "releases");
	n += print_checked(json_object_get(answer, "records"), "records");
	if (n == 0)
		return 0;
	return sk_err_set(
		err, -EBADMSG, "damaged",
		"damaged files: %zu, taken out of use or written anew; what is missing now "
		"is fetched again, or load its release once more",
		n);
}

static const struct sk_cmd cmd_store_list = {
	.name = "list",
	.summary = "list the images on this device",
	.opts = sk_device_opts,
	.run = run_store_list,
};

static const struct sk_cmd cmd_store_verify = {
	.name = "verify",
	.summary = "read and check every image, release file and record",
	.about = "Each image and release file is read and hashed. A damaged one is taken out of "
		 "use; with a hub it is fetched again by itself. A record of a generation that is "
		 "damaged is written anew. Exit status 1 when there was one (0 with --json, which "
		 "lists them).",
	.opts = sk_device_opts,
	.run = run_store_verify,
};

static const struct sk_cmd *const store_cmds[] = { &cmd_store_list, &cmd_store_verify, NULL };

const struct sk_cmd sk_cmd_store = {
	.name = "store",
	.summary = "the images on this device",
	.sub = store_cmds,
};
