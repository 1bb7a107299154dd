/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/release/images.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "io/image/head.h"
#include "model/image.h"

static const struct sk_image_ref *image_named(const struct sk_manifest *m, const char *name,
					      size_t len)
{
	for (size_t i = 0; i < m->n_images; i++)
		if (strlen(m->images[i].name) == len && memcmp(m->images[i].name, name, len) == 0)
			return &m->images[i];
	return NULL;
}

/* A NAME=FILE whose name is in no manifest is an error: otherwise another file would be signed. */
static int check_named(const struct sk_manifest *m, char *const *named, struct sk_err *err)
{
	SK_STRV_FOREACH (it, named) {
		size_t len = strcspn(*it, "=");

		if ((*it)[len] != '=' || !(*it)[len + 1])
			return sk_err_set(err, -EINVAL, "usage",
					  "--image takes NAME=FILE, not \"%s\"", *it);
		if (!image_named(m, *it, len))
			return sk_err_set(err, -EINVAL, "bad-value",
					  "the manifest has no image \"%.*s\"", (int)len, *it);
	}
	return 0;
}

static int find_one(const struct sk_image_ref *image, const struct sk_image_places *places,
		    char **ret)
{
	size_t len = strlen(image->name);

	SK_STRV_FOREACH (it, places->named)
		if (strncmp(*it, image->name, len) == 0 && (*it)[len] == '=') {
			*ret = strdup(*it + len + 1);
			return *ret ? 0 : -ENOMEM;
		}
	SK_STRV_FOREACH (dir, places->folders) {
		const char *names[] = { image->name,
					image->pinned ? SK_DIGEST_STR(&image->digest) : NULL };

		for (size_t i = 0; i < ARRAY_SIZE(names) && names[i]; i++) {
			_cleanup_free_ char *path = sk_asprintf("%s/%s", *dir, names[i]);

			if (!path)
				return -ENOMEM;
			if (access(path, F_OK) == 0) {
				*ret = TAKE_PTR(path);
				return 0;
			}
		}
	}
	return -ENOENT;
}

int sk_images_find(const struct sk_manifest *m, const struct sk_image_places *places,
		   char ***ret_files, struct sk_err *err)
{
	_cleanup_strv_ char **files = NULL;
	int r = check_named(m, places->named, err);

	for (size_t i = 0; r == 0 && i < m->n_images; i++) {
		_cleanup_free_ char *file = NULL;

		r = find_one(&m->images[i], places, &file);
		if (r == -ENOENT) {
			_cleanup_free_ char *where = sk_strv_join(places->folders, ", ");

			return sk_err_set(err, r, "not-found",
					  "there is no image file %s in %s; give --images DIR or "
					  "--image %s=FILE",
					  m->images[i].name, where && *where ? where : "no folder",
					  m->images[i].name);
		}
		if (r < 0 || sk_strv_add(&files, file) < 0)
			return sk_err_oom(err);
	}
	if (r == 0)
		*ret_files = TAKE_PTR(files);
	return r;
}

static int bad_image(const char *file, const char *why, struct sk_err *err)
{
	return sk_err_set(err, -EINVAL, "bad-image", "%s is no capsule image: %s", file, why);
}

static int parse_image(int fd, const char *file, uint64_t size, struct sk_image_info **ret,
		       struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	size_t len;
	int r = sk_image_head_read(fd, sk_image_tree_size, &tree, &len, err);

	if (r == 0)
		r = sk_image_parse(tree, len, size, ret, err);
	if (r < 0)
		(void)sk_err_prefix(err, "%s", file);
	return r;
}

/* Checks that would otherwise fail on the device when the app starts. */
static int check_app(const struct sk_app *app, const struct sk_image_info *info, const char *file,
		     struct sk_err *err)
{
	struct sk_run run = { 0 };
	bool runs;

	if (app->kind != info->kind)
		return sk_err_set(err, -EINVAL, "bad-image",
				  "app \"%s\" is of another kind than its image %s", app->name,
				  file);
	if (sk_run_merge(&info->run, &app->run, &run) < 0)
		return sk_err_oom(err);
	runs = app->kind == SK_KIND_VM || sk_strv_len(run.command) || sk_strv_len(run.arguments);
	sk_run_done(&run);
	if (!runs)
		return sk_err_set(err, -EINVAL, "bad-image",
				  "neither app \"%s\" nor its image %s says which command to run",
				  app->name, file);
	return 0;
}

static int check_capsule(const struct sk_manifest *m, const struct sk_image_ref *image, int fd,
			 const char *file, uint64_t size, struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	struct sk_digest d;
	int r = parse_image(fd, file, size, &info, err);

	if (r < 0)
		return r;
	if (sk_digest_of_fd(fd, info->rootfs_offset, info->rootfs_size, &d) < 0 ||
	    !sk_digest_equal(&d, &info->rootfs_digest))
		return bad_image(file, "its file system is damaged", err);
	for (size_t i = 0; r == 0 && i < m->n_apps; i++)
		if (m->apps[i].image == image)
			r = check_app(&m->apps[i], info, file, err);
	return r;
}

static int check_one(const struct sk_manifest *m, const struct sk_image_ref *image,
		     const char *file, struct sk_image_ref *ret, struct sk_err *err)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return sk_err_set(err, -errno, "io", "cannot read image %s: %s", file,
				  strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return bad_image(file, "no regular file, or empty", err);
	if ((uint64_t)st.st_size > SK_IMAGE_SIZE_MAX)
		return sk_err_set(err, -EFBIG, "too-large", "image %s has over 4 GiB", file);
	/* An operating system has a form of its own, which RAUC checks. */
	if (image != m->system)
		r = check_capsule(m, image, fd, file, (uint64_t)st.st_size, err);
	if (r < 0)
		return r;
	*ret = (struct sk_image_ref){ .name = image->name, .pinned = true };
	ret->size_bytes = (uint64_t)st.st_size;
	r = sk_digest_of_fd(fd, 0, ret->size_bytes, &ret->digest);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read image %s: %s", file, strerror(-r));
	return 0;
}

static uint64_t total_size(char *const *files)
{
	uint64_t total = 0;
	struct stat st;

	SK_STRV_FOREACH (file, files)
		if (stat(*file, &st) == 0)
			total += (uint64_t)st.st_size;
	return total;
}

int sk_images_check(const struct sk_manifest *m, char *const *files, struct sk_image_ref **ret,
		    void (*progress)(void *arg, uint64_t now, uint64_t total), void *arg,
		    struct sk_err *err)
{
	_cleanup_free_ struct sk_image_ref *images = calloc(m->n_images + 1, sizeof(*images));
	uint64_t now = 0, total = total_size(files);

	if (!images)
		return sk_err_oom(err);
	for (size_t i = 0; i < m->n_images; i++) {
		int r = check_one(m, &m->images[i], files[i], &images[i], err);

		if (r < 0)
			return r;
		now += images[i].size_bytes;
		if (progress)
			progress(arg, now, total);
	}
	*ret = TAKE_PTR(images);
	return 0;
}
