/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/hub/session.h"
#include "io/crypto/cms.h"
#include "io/json.h"
#include "model/manifest.h"
#include "model/release.h"

#define ATTEMPTS_MAX 8

static const struct sk_opt plain_opts[] = { SK_HUB_OPTS, { 0 } };

static const struct sk_hub_column release_columns[] = {
	{ "VERSION", "version", SK_HUB_TEXT },
	{ "ID", "id", SK_HUB_SHORT },
	{ "COMPLETE", "complete", SK_HUB_YESNO },
	{ "FOR", "compatible", SK_HUB_TEXT },
	{ "UPLOADED", "created_s", SK_HUB_TIME },
	{ "BY", "created_by", SK_HUB_TEXT },
	{ 0 },
};

static int run_hub_release_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *path = sk_hub_path("projects/{}/releases", sk_cli_arg(cli, 0));
	json_t *list = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r < 0)
		return r;
	r = sk_hub_list(c, path, "releases", "before", &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, release_columns);
	return 0;
}

static int on_release(struct sk_cli *cli, const char *method, const char *rest, json_t **ret,
		      struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *project = NULL, *version = NULL, *id = NULL, *path = NULL,
			    *full = NULL;
	int r = sk_hub_place(sk_cli_arg(cli, 0), "VERSION", &project, &version, err);

	if (r < 0)
		return r;
	r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	r = sk_hub_find_release(c, project, version, &id, err);
	if (r < 0)
		return r;
	path = sk_hub_path("projects/{}/releases/{}", project, id);
	full = path ? sk_asprintf("%s%s", path, rest) : NULL;
	return sk_hub_call(c, method, full, NULL, ret, err);
}

static const struct sk_hub_column show_columns[] = {
	{ "project", "project", SK_HUB_TEXT },
	{ "version", "version", SK_HUB_TEXT },
	{ "id", "id", SK_HUB_TEXT },
	{ "for", "compatible", SK_HUB_TEXT },
	{ "expires", "expires_s", SK_HUB_TIME },
	{ "uploaded", "created_s", SK_HUB_TIME },
	{ "by", "created_by", SK_HUB_TEXT },
	{ "complete", "complete", SK_HUB_YESNO },
	{ 0 },
};
static const struct sk_hub_column image_columns[] = {
	{ "IMAGE", "name", SK_HUB_TEXT },
	{ "DIGEST", "digest", SK_HUB_SHORT },
	{ "SIZE", "size_bytes", SK_HUB_SIZE },
	{ "AT THE HUB", "have", SK_HUB_YESNO },
	{ 0 },
};

static int run_hub_release_show(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *rel = NULL;
	int r = on_release(cli, "GET", "", &rel, err);

	if (r < 0)
		return r;
	sk_hub_print_one(cli, json_incref(rel), show_columns);
	if (!sk_cli_json(cli)) {
		(void)printf("\n");
		sk_hub_print_list(cli, json_incref(json_object_get(rel, "images")), image_columns);
	}
	return 0;
}

static int run_hub_release_delete(struct sk_cli *cli, struct sk_err *err)
{
	int r = on_release(cli, "DELETE", "", NULL, err);

	if (r == 0)
		sk_hub_said(cli, NULL, "deleted %s and the images that only it used",
			    sk_cli_arg(cli, 0));
	return r;
}

static const struct sk_hub_column app_columns[] = {
	{ "APP", "name", SK_HUB_TEXT },
	{ "KIND", "kind", SK_HUB_TEXT },
	{ "IMAGE", "image", SK_HUB_TEXT },
	{ "MESSAGE SERVERS", "msg_servers", SK_HUB_TEXT },
	{ 0 },
};
static const struct sk_hub_column connection_columns[] = {
	{ "FROM", "from", SK_HUB_TEXT },
	{ "TO", "to", SK_HUB_TEXT },
	{ "PROTOCOL", "protocol", SK_HUB_TEXT },
	{ "OVER", "msg_server", SK_HUB_TEXT },
	{ 0 },
};

static int run_hub_release_graph(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *graph = NULL;
	json_t *edges;
	int r = on_release(cli, "GET", "/graph", &graph, err);

	if (r < 0)
		return r;
	if (sk_cli_json(cli)) {
		sk_cli_print_json(TAKE_PTR(graph));
		return 0;
	}
	sk_hub_print_list(cli, json_incref(json_object_get(graph, "apps")), app_columns);
	edges = json_object_get(graph, "connections");
	if (json_array_size(edges) > 0) {
		(void)printf("\n");
		sk_hub_print_list(cli, json_incref(edges), connection_columns);
	}
	return 0;
}

/** A release file on its way to the hub. */
struct upload {
	struct sk_cli *cli;
	struct sk_http_client *client;
	const char *dir;
	char *project;
	void *bytes;
	size_t len;
	uint64_t sent_bytes, release_bytes;
	size_t sent, there;
	/* the image in progress */
	const char *name;
	uint64_t size, offset;
};

static void upload_done(struct upload *u)
{
	if (u->client)
		sk_http_client_free(u->client);
	free(u->project);
	free(u->bytes);
}

static int upload_read_release(struct upload *u, const char *file, struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	const char *project = sk_cli_opt(u->cli, "project");
	_cleanup_free_ void *tree = NULL;
	size_t tree_len;
	int r = sk_file_read(AT_FDCWD, file, SK_RELEASE_FILE_MAX, (char **)&u->bytes, &u->len);

	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s: %s",
				  file, strerror(-r));
	r = sk_cms_peek(u->bytes, u->len, SK_MANIFEST_SIZE_MAX, &tree, &tree_len, err);
	if (r == 0)
		r = sk_manifest_parse(tree, tree_len, &m, NULL, err);
	if (r < 0)
		return sk_err_prefix(err, "%s", file);
	u->project = strdup(project ? project : m->project);
	return u->project ? 0 : sk_err_oom(err);
}

static int upload_send_release(struct upload *u, json_t **ret, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("projects/{}/releases", u->project);
	_cleanup_(sk_http_call_done) struct sk_http_call call =
		SK_HTTP_CALL(.method = "POST", .path = path, .data = u->bytes, .len = u->len,
			     .content_type = "application/pkcs7-mime");
	int r = path ? sk_http_call(u->client, &call, err) : sk_err_oom(err);

	return r < 0 ? r : sk_json_parse(call.answer.data, call.answer.len, ret, err);
}

/* <dir>/<name>, or <dir>/<digest>: of the size and bytes that the release says. */
static int upload_open_image(const struct upload *u, const json_t *image, int *ret_fd,
			     struct sk_err *err)
{
	const char *hex = json_string_value(json_object_get(image, "digest"));
	_cleanup_free_ char *path = sk_asprintf("%s/%s", u->dir, u->name);
	struct sk_digest expected, got;
	struct stat st;
	int fd;

	if (!path)
		return sk_err_oom(err);
	fd = sk_path_ok(u->name) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 && sk_digest_parse(hex, &expected) == 0) {
		free(path);
		path = sk_asprintf("%s/%s", u->dir, hex);
		fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	}
	if (fd < 0)
		return sk_err_set(err, -ENOENT, "not-found",
				  "image %s is not in %s: build it, or name its folder with "
				  "--images",
				  u->name, u->dir);
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != u->size ||
	    sk_digest_of_fd(fd, 0, u->size, &got) < 0 || sk_digest_parse(hex, &expected) < 0 ||
	    !sk_digest_equal(&got, &expected)) {
		(void)close(fd);
		return sk_err_set(err, -EBADMSG, "digest-mismatch",
				  "%s is not the file that the release was built with: build the "
				  "release again",
				  path ? path : u->name);
	}
	*ret_fd = fd;
	return 0;
}

static int upload_on_progress(void *arg, uint64_t now, uint64_t total)
{
	struct upload *u = arg;

	sk_cli_progress(u->cli, u->name, SK_MIN(u->offset + now, u->size), u->size);
	return 0;
}

static int put_from(struct upload *u, const char *digest, int fd, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("images/{}", digest);
	_cleanup_free_ char *full =
		path ? sk_asprintf("%s?offset=%llu", path, (unsigned long long)u->offset) : NULL;
	_cleanup_(sk_http_call_done) struct sk_http_call call =
		SK_HTTP_CALL(.method = "PUT", .path = full, .body_fd = fd,
			     .body_len = u->size - u->offset, .progress = upload_on_progress,
			     .arg = u, .content_type = "application/octet-stream");

	if (!full)
		return sk_err_oom(err);
	if (lseek(fd, (off_t)u->offset, SEEK_SET) < 0)
		return sk_err_set(err, -errno, "io", "cannot read %s: %s", u->name,
				  strerror(errno));
	return sk_http_call(u->client, &call, err);
}

/* How much of the image the hub has. Return: 1 when it has all of it. */
static int ask_offset(struct upload *u, const char *digest, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("images/{}", digest);
	_cleanup_json_ json_t *answer = NULL;
	int r = sk_hub_call(u->client, "GET", path, NULL, &answer, err);

	if (r < 0)
		return r;
	u->offset = (uint64_t)json_integer_value(json_object_get(answer, "offset"));
	if (u->offset > u->size)
		return sk_err_set(err, -EPROTO, "bad-request", "the hub's answer makes no sense");
	return json_is_true(json_object_get(answer, "have"));
}

static bool worth_another(const struct sk_err *err)
{
	return sk_err_is(err, "unreachable") || sk_err_is(err, "timeout") ||
	       sk_err_is(err, "in-use") || sk_err_is(err, "bad-state");
}

/* Goes on from where the hub stands, however often the link breaks. */
static int upload_send_image(struct upload *u, const json_t *image, struct sk_err *err)
{
	const char *digest = json_string_value(json_object_get(image, "digest"));
	_cleanup_close_ int fd = -1;
	int r = upload_open_image(u, image, &fd, err);
	uint64_t first = u->offset;

	for (unsigned n = 1; r == 0; n++) {
		r = put_from(u, digest, fd, err);
		if (r == 0 || n == ATTEMPTS_MAX || !worth_another(err))
			break;
		(void)nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
		r = ask_offset(u, digest, err);
		if (r < 0 && worth_another(err))
			r = 0;
	}
	if (r < 0)
		return r;
	sk_cli_progress_end(u->cli);
	u->sent++;
	u->sent_bytes += u->size - first;
	return 0;
}

static int send_images(struct upload *u, const json_t *release, struct sk_err *err)
{
	const json_t *images = json_object_get(release, "images"), *image;
	size_t i;

	json_array_foreach (images, i, image) {
		int r;

		r = sk_json_need_str(image, "name", 256, &u->name, err);
		if (r < 0)
			return r;
		u->size = (uint64_t)json_integer_value(json_object_get(image, "size_bytes"));
		u->offset = (uint64_t)json_integer_value(json_object_get(image, "offset"));
		u->release_bytes += u->size;
		if (json_is_true(json_object_get(image, "have"))) {
			u->there++;
			continue;
		}
		r = upload_send_image(u, image, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int print_upload(struct upload *u, json_t *release)
{
	const char *version = json_string_value(json_object_get(release, "version"));
	char sent[32], all[32];

	(void)json_object_set_new(release, "images_sent", json_integer((json_int_t)u->sent));
	(void)json_object_set_new(release, "bytes_sent", json_integer((json_int_t)u->sent_bytes));
	(void)sk_format_size(sent, u->sent_bytes);
	(void)sk_format_size(all, u->release_bytes);
	sk_hub_said(u->cli, json_incref(release),
		    "release %s/%s is at the hub: sent %zu images (%s of %s), %zu were there",
		    u->project, version, u->sent, sent, all, u->there);
	return 0;
}

static int run_hub_release_upload(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(upload_done) struct upload u = { .cli = cli, .dir = sk_cli_opt(cli, "images") };
	_cleanup_json_ json_t *release = NULL;
	int r = upload_read_release(&u, sk_cli_arg(cli, 0), err);

	if (!u.dir)
		u.dir = ".";
	if (r < 0)
		return r;
	r = sk_hub_open(cli, &u.client, err);
	if (r < 0)
		return r;
	r = upload_send_release(&u, &release, err);
	if (r < 0)
		return r;
	r = send_images(&u, release, err);
	return r < 0 ? r : print_upload(&u, release);
}

static const struct sk_opt upload_opts[] = {
	{ "images", 'i', "DIR", "folder with the capsule images (default: this one)" },
	{ "project", 'p', "NAME", "the hub's project (default: that of the manifest)" },
	SK_HUB_OPTS,
	{ 0 },
};
static const char *const upload_examples[] = {
	"skerry hub release upload station-1.4.0.skr --images images\tsends what the hub lacks",
	NULL
};

#define ON(n, s, f)                                                                    \
	{                                                                              \
		.name = (n), .summary = (s), .args = "PROJECT/VERSION", .min_args = 1, \
		.max_args = 1, .opts = plain_opts, .run = (f)                          \
	}

static const struct sk_cmd cmd_upload = {
	.name = "upload",
	.summary = "bring a release to the hub, with the images it lacks",
	.args = "RELEASE.SKR",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Only images that the hub does not have are sent, and a broken upload goes on where "
		"it stopped: run the command again.",
	.examples = upload_examples,
	.opts = upload_opts,
	.run = run_hub_release_upload,
};
static const struct sk_cmd cmd_list = { .name = "list",
					.summary = "releases of a project",
					.args = "PROJECT",
					.min_args = 1,
					.max_args = 1,
					.opts = plain_opts,
					.run = run_hub_release_list };
static const struct sk_cmd cmd_show =
	ON("show", "what it is, and its images", run_hub_release_show);
static const struct sk_cmd cmd_graph =
	ON("graph", "its apps, and who talks to whom", run_hub_release_graph);
static const struct sk_cmd cmd_delete =
	ON("delete", "delete one that nothing uses", run_hub_release_delete);
static const struct sk_cmd *const cmds[] = { &cmd_upload, &cmd_list,   &cmd_show,
					     &cmd_graph,  &cmd_delete, NULL };
const struct sk_cmd sk_hub_cmd_release = {
	.name = "release",
	.summary = "releases at the hub",
	.sub = cmds,
};
