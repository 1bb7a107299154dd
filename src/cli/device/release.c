/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/device/device.h"
#include "io/json.h"
#include "model/release.h"

/* `skerry release apply|status|list`: releases on a device, from a file or a USB disk. */

#define BUNDLE_RELEASE "release.skr"
#define BUNDLE_IMAGES  "images/"
#define BLOCK_SIZE     (256u << 10)

SK_DEFINE_CLEANUP(struct archive, archive_read_free);

/** What is being sent to skerryd. */
struct sending {
	struct sk_cli *cli;
	struct sk_http_client *client;
	struct archive *bundle; /* or NULL: images come from a folder */
	json_t *release;	/* skerryd's answer: what is missing */
	const char *name;	/* of the image on its way */
	uint64_t base, total;	/* bytes of all images: sent before this one, to be sent */
};

static int device_on_progress(void *arg, uint64_t now, uint64_t total)
{
	struct sending *s = arg;

	if (total > 0)
		sk_cli_progress(s->cli, "sending", s->base + now, s->total);
	return 0;
}

static int device_send_release(struct sending *s, const void *skr, size_t len, struct sk_err *err)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "POST", .path = "/skerry/v1/releases", .data = skr,
			     .len = len);
	size_t i;
	json_t *image;
	int r = sk_http_call(s->client, &call, err);

	if (r == 0)
		r = sk_json_parse(call.answer.data, call.answer.len, &s->release, err);
	if (r < 0)
		return r;
	json_array_foreach (json_object_get(s->release, "images"), i, image)
		if (!json_is_true(json_object_get(image, "have")))
			s->total +=
				(uint64_t)(json_integer_value(
						   json_object_get(image, "size_bytes")) -
					   json_integer_value(json_object_get(image, "offset")));
	return 0;
}

static json_t *find_missing(const struct sending *s, const char *digest)
{
	size_t i;
	json_t *image;

	json_array_foreach (json_object_get(s->release, "images"), i, image)
		if (sk_streq(sk_device_text(image, "digest"), digest) &&
		    !json_is_true(json_object_get(image, "have")))
			return image;
	return NULL;
}

static int read_bundle(void *arg, void *buf, size_t size, size_t *ret_len)
{
	struct sending *s = arg;
	la_ssize_t n = archive_read_data(s->bundle, buf, size);

	if (n < 0)
		return -EIO;
	*ret_len = (size_t)n;
	return 0;
}

/* The part of the image that skerryd has already. */
static int skip_bundle(struct sending *s, uint64_t bytes)
{
	char buf[16384];

	while (bytes > 0) {
		la_ssize_t n = archive_read_data(s->bundle, buf, SK_MIN(bytes, sizeof(buf)));

		if (n <= 0)
			return -EIO;
		bytes -= (uint64_t)n;
	}
	return 0;
}

/* @fd: of the image file, or -1 to read from the bundle. All missing bytes in one request. */
static int device_send_image(struct sending *s, json_t *image, int fd, struct sk_err *err)
{
	uint64_t size = (uint64_t)json_integer_value(json_object_get(image, "size_bytes"));
	uint64_t offset = (uint64_t)json_integer_value(json_object_get(image, "offset"));
	_cleanup_free_ char *path = sk_asprintf("/skerry/v1/images/%s?offset=%" PRIu64,
						sk_device_text(image, "digest"), offset);
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "PUT", .path = path, .body_fd = fd,
			     .body_len = size - offset, .progress = device_on_progress, .arg = s);
	int r;

	if (!path)
		return sk_err_oom(err);
	if (fd < 0 && size == offset)
		call.data = ""; /* only to be sealed */
	else if (fd < 0)
		call.read = read_bundle;
	if (fd >= 0 ? lseek(fd, (off_t)offset, SEEK_SET) < 0 : skip_bundle(s, offset) < 0)
		return sk_err_set(err, -EIO, "io", "cannot read image %s", s->name);
	r = sk_http_call(s->client, &call, err);
	if (r < 0)
		return sk_err_prefix(err, "image %s", s->name);
	s->base += size - offset;
	(void)json_object_set_new(image, "have", json_true());
	return 0;
}

static int bundle_image(struct sending *s, const char *digest, int64_t size, struct sk_err *err)
{
	json_t *image;

	if (!s->release)
		return sk_err_set(err, -EINVAL, "bad-archive",
				  "the bundle does not begin with " BUNDLE_RELEASE);
	image = find_missing(s, digest);
	if (!image)
		return 0;
	s->name = sk_device_text(image, "name");
	if (size != json_integer_value(json_object_get(image, "size_bytes")))
		return sk_err_set(err, -EINVAL, "bad-archive", "image %s has another size",
				  s->name);
	return device_send_image(s, image, -1, err);
}

static int bundle_release(struct sending *s, int64_t size, struct sk_err *err)
{
	_cleanup_free_ char *skr = NULL;

	if (s->release || size <= 0 || size > SK_RELEASE_FILE_MAX)
		return sk_err_set(err, -EINVAL, "bad-archive",
				  "the bundle's " BUNDLE_RELEASE " is too large, or there are two");
	skr = malloc((size_t)size);
	if (!skr)
		return sk_err_oom(err);
	if (archive_read_data(s->bundle, skr, (size_t)size) != size)
		return sk_err_set(err, -EIO, "bad-archive", "the bundle is cut short");
	return device_send_release(s, skr, (size_t)size, err);
}

static int bundle_entry(struct sending *s, struct archive_entry *e, struct sk_err *err)
{
	const char *name = archive_entry_pathname(e);

	if (!name || archive_entry_filetype(e) != AE_IFREG)
		return 0;
	if (sk_streq(name, BUNDLE_RELEASE))
		return bundle_release(s, archive_entry_size(e), err);
	if (sk_str_starts(name, BUNDLE_IMAGES))
		return bundle_image(s, name + strlen(BUNDLE_IMAGES), archive_entry_size(e), err);
	return 0;
}

static int send_bundle(struct sending *s, const char *file, struct sk_err *err)
{
	_cleanup_(archive_read_freep) struct archive *a = archive_read_new();
	struct archive_entry *e;
	int r = 0, at;

	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK)
		return sk_err_oom(err);
	if (archive_read_open_filename(a, file, BLOCK_SIZE) != ARCHIVE_OK)
		return sk_err_set(err, -EIO, "bad-archive", "cannot read %s: %s", file,
				  archive_error_string(a));
	s->bundle = a;
	while ((at = archive_read_next_header(a, &e)) == ARCHIVE_OK && r == 0)
		r = bundle_entry(s, e, err);
	s->bundle = NULL;
	if (r == 0 && at != ARCHIVE_EOF)
		r = sk_err_set(err, -EIO, "bad-archive", "%s: %s", file, archive_error_string(a));
	if (r == 0 && !s->release)
		r = sk_err_set(err, -EINVAL, "bad-archive", "%s holds no " BUNDLE_RELEASE, file);
	return r;
}

/* By name or by digest, as builders and stores call them. */
static int device_open_image(const char *dir, const json_t *image)
{
	static const char *const keys[] = { "name", "digest" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_free_ char *path =
			sk_asprintf("%s/%s", dir, sk_device_text(image, keys[i]));
		int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

		if (fd >= 0)
			return fd;
	}
	return -1;
}

static int send_folder(struct sending *s, const char *dir, struct sk_err *err)
{
	size_t i;
	json_t *image;

	json_array_foreach (json_object_get(s->release, "images"), i, image) {
		_cleanup_close_ int fd = -1;
		int r;

		if (json_is_true(json_object_get(image, "have")))
			continue;
		s->name = sk_device_text(image, "name");
		fd = device_open_image(dir, image);
		if (fd < 0)
			return sk_err_set(err, -ENOENT, "not-found", "%s holds no image %s", dir,
					  s->name);
		r = device_send_image(s, image, fd, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int device_send_file(struct sending *s, const char *file, struct sk_err *err)
{
	const char *dir = sk_cli_opt(s->cli, "images");
	_cleanup_free_ char *skr = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, file, SK_RELEASE_FILE_MAX, &skr, &len);

	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s: %s",
				  file, strerror(-r));
	r = device_send_release(s, skr, len, err);
	return r < 0 || !dir ? r : send_folder(s, dir, err);
}

/* Until this generation is good or bad. */
static int follow(struct sending *s, json_int_t generation, json_t **ret, struct sk_err *err)
{
	json_int_t seq = 0;

	for (;;) {
		char path[96];
		_cleanup_json_ json_t *update = NULL;
		const char *step;
		int r;

		(void)snprintf(path, sizeof(path),
			       "/skerry/v1/update?since=%" JSON_INTEGER_FORMAT "&wait=30", seq);
		r = sk_http_call_json(s->client, "GET", path, NULL, &update, err);
		if (r < 0)
			return r;
		step = sk_device_text(update, "step");
		if (json_integer_value(json_object_get(update, "generation")) == generation &&
		    (sk_streq(step, "good") || sk_streq(step, "bad"))) {
			*ret = TAKE_PTR(update);
			return 0;
		}
		if (!sk_cli_json(s->cli) &&
		    json_integer_value(json_object_get(update, "seq")) != seq)
			(void)fprintf(stderr, "%s\n", step);
		seq = json_integer_value(json_object_get(update, "seq"));
	}
}

static int apply(struct sending *s, struct sk_err *err)
{
	_cleanup_free_ char *path =
		sk_asprintf("/skerry/v1/releases/%s/apply", sk_device_text(s->release, "id"));
	_cleanup_json_ json_t *answer = NULL, *update = NULL;
	json_int_t generation;
	int r;

	if (!path)
		return sk_err_oom(err);
	r = sk_http_call_json(s->client, "POST", path, NULL, &answer, err);
	if (r < 0)
		return r;
	generation = json_integer_value(json_object_get(answer, "generation"));
	if (!sk_cli_flag(s->cli, "no-wait"))
		r = follow(s, generation, &update, err);
	if (r < 0)
		return r;
	if (update && sk_streq(sk_device_text(update, "step"), "bad"))
		return sk_err_set(
			err, -EREMOTEIO, "bad-state", "release %s %s failed and was undone: %s",
			sk_device_text(s->release, "project"),
			sk_device_text(s->release, "version"), sk_device_text(update, "reason"));
	if (sk_cli_json(s->cli))
		sk_cli_print_json(json_incref(update ? update : answer));
	else
		(void)printf("release %s %s is generation %" JSON_INTEGER_FORMAT "%s\n",
			     sk_device_text(s->release, "project"),
			     sk_device_text(s->release, "version"), generation,
			     update ? ", good" : "");
	return 0;
}

static int run_apply(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_http_client_freep) struct sk_http_client *client = NULL;
	const char *file = sk_cli_arg(cli, 0);
	struct sending s = { .cli = cli };
	int r = sk_device_connect(cli, &client, err);

	s.client = client;
	if (r == 0)
		r = sk_str_ends(file, ".skb") ? send_bundle(&s, file, err)
					      : device_send_file(&s, file, err);
	sk_cli_progress_end(cli);
	if (r == 0)
		r = apply(&s, err);
	json_decref(s.release);
	return r;
}

static const struct sk_opt apply_opts[] = {
	{ "images", 0, "DIR", "folder with the images of a .skr, by name or digest" },
	{ "no-wait", 0, NULL, "do not wait until it is good or bad" },
	{ "socket", 0, "FILE", "skerryd's socket (or SKERRY_SOCKET)" },
	{ 0 },
};

static const char *const apply_examples[] = {
	"skerry release apply /media/usb/station-1.2.skb\ta bundle with all images, no link needed",
	"skerry release apply station-1.2.skr --images images/\tonly missing images are sent",
	NULL,
};

const struct sk_cmd sk_cmd_release_apply = {
	.name = "apply",
	.summary = "go to a release, on a device",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.about = "Hands a release file (.skr) or bundle (.skb) to skerryd on this device, with the "
		 "images that are missing there, applies it and waits until the release proved "
		 "healthy. If it does not, the device goes back by itself, and the exit status "
		 "is not 0.",
	.examples = apply_examples,
	.opts = apply_opts,
	.run = run_apply,
};

static int run_release_status(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *u = NULL;
	int r = sk_device_request(cli, "GET", "/skerry/v1/update", &u, err);

	if (r < 0)
		return r;
	if (sk_cli_json(cli)) {
		sk_cli_print_json(TAKE_PTR(u));
		return 0;
	}
	(void)printf("%s", sk_device_text(u, "step"));
	if (json_integer_value(json_object_get(u, "generation")) > 0)
		(void)printf(": generation %" JSON_INTEGER_FORMAT ", version %s",
			     json_integer_value(json_object_get(u, "generation")),
			     sk_device_text(u, "version"));
	if (*sk_device_text(u, "reason"))
		(void)printf(": %s", sk_device_text(u, "reason"));
	(void)printf("\n");
	return 0;
}

const struct sk_cmd sk_cmd_release_status = {
	.name = "status",
	.summary = "show how the last release went, on a device",
	.opts = sk_device_opts,
	.run = run_release_status,
};

static size_t count_missing(const json_t *release)
{
	size_t i, n = 0;
	json_t *image;

	json_array_foreach (json_object_get(release, "images"), i, image)
		n += !json_is_true(json_object_get(image, "have"));
	return n;
}

static int add_release(struct sk_table *t, const json_t *rel)
{
	char missing[32];

	(void)snprintf(missing, sizeof(missing), "%zu", count_missing(rel));
	return sk_table_row(t, sk_device_text(rel, "project"), sk_device_text(rel, "version"),
			    missing, sk_device_text(rel, "id"), NULL);
}

static int run_release_list(struct sk_cli *cli, struct sk_err *err)
{
	static const char *const headings[] = { "PROJECT", "VERSION", "MISSING", "ID", NULL };

	return sk_device_list(cli, "/skerry/v1/releases", headings, add_release, err);
}

const struct sk_cmd sk_cmd_release_list = {
	.name = "list",
	.summary = "list the releases kept on a device",
	.about = "Releases that were verified and kept: those of its generations, and the last few "
		 "that were not applied. MISSING counts images that are not here yet.",
	.opts = sk_device_opts,
	.run = run_release_list,
};
