/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/image/head.h"
#include "io/json.h"

#define PREFIX_MIN 4

/* --- finding --- */

struct search {
	const char *prefix;
	size_t len;
	unsigned found;
	struct sk_digest d;
};

static int match_prefix(void *arg, const struct sk_digest *d, uint64_t size)
{
	struct search *s = arg;

	if (strncmp(SK_DIGEST_STR(d), s->prefix, s->len) == 0) {
		s->found++;
		s->d = *d;
	}
	return 0;
}

static int find_by_id(const struct sk_daemon *d, const char *ref, struct sk_digest *ret)
{
	struct search s = { .prefix = ref };

	if (sk_str_starts(ref, "sha256:"))
		s.prefix += strlen("sha256:");
	s.len = strlen(s.prefix);
	if (s.len < PREFIX_MIN || s.len > SK_DIGEST_HEX ||
	    strspn(s.prefix, "0123456789abcdef") != s.len)
		return -ENOENT;
	(void)sk_store_list(d->store, match_prefix, &s);
	*ret = s.d;
	return s.found == 1 ? 0 : -ENOENT;
}

int sk_docker_image_find(const struct sk_daemon *d, const char *ref, struct sk_digest *ret,
			 struct sk_err *err)
{
	char name[SK_IMAGE_NAME_MAX + 1];

	if (sk_names_normal(ref, name, NULL) == 0 && sk_names_get(d->names, name, ret) == 0 &&
	    sk_store_has(d->store, ret))
		return 0;
	if (find_by_id(d, ref, ret) == 0)
		return 0;
	return sk_err_set(err, -ENOENT, "not-found", "No such image: %.200s", ref);
}

int sk_docker_image_info(const struct sk_daemon *d, const struct sk_digest *digest,
			 struct sk_image_info **ret, uint64_t *ret_size, struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	_cleanup_close_ int fd = -1;
	size_t len;
	int r = sk_store_image_fd(d->store, digest, &fd, ret_size, err);

	if (r == 0)
		r = sk_image_head_read(fd, sk_image_tree_size, &tree, &len, err);
	return r < 0 ? r : sk_image_parse(tree, len, *ret_size, ret, err);
}

/* The first capsule that has the image; @users_only: leaving out those of a release. */
static bool used(const struct sk_daemon *d, const struct sk_digest *digest, bool users_only,
		 struct sk_capsule_view *v)
{
	struct sk_capsule *c;

	for (size_t pos = 0; d->engine && (c = sk_engine_next(d->engine, &pos));) {
		sk_capsule_view(c, v);
		if (sk_digest_equal(&v->image, digest) && !(users_only && v->generation > 0))
			return true;
	}
	return false;
}

bool sk_docker_image_in_use(const struct sk_daemon *d, const struct sk_digest *digest)
{
	struct sk_capsule_view v;

	return sk_names_has(d->names, digest) || used(d, digest, true, &v);
}

/* --- showing --- */

static json_t *tags_of(const struct sk_daemon *d, const struct sk_digest *digest)
{
	json_t *list = json_array();
	struct sk_digest v;
	const char *name;

	for (size_t pos = 0; sk_names_next(d->names, &pos, &name, &v);)
		if (sk_digest_equal(&v, digest))
			(void)json_array_append_new(list, json_string(name));
	return list;
}

static json_t *id_of(const struct sk_digest *digest)
{
	return json_sprintf("sha256:%s", SK_DIGEST_STR(digest));
}

static json_t *labels_of(const struct sk_image_info *info)
{
	json_t *obj = json_pack("{s:s}", "io.skerry.name", info->name);

	if (obj && info->version)
		(void)json_object_set_new(obj, "io.skerry.version", json_string(info->version));
	return obj;
}

static json_t *summary(const struct sk_daemon *d, const struct sk_digest *digest, uint64_t size,
		       json_t *steals_tags)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	bool known = sk_docker_image_info(d, digest, &info, &size, NULL) == 0;

	return json_pack("{s:o, s:s, s:o, s:[], s:I, s:I, s:I, s:I, s:o, s:i}", "Id", id_of(digest),
			 "ParentId", "", "RepoTags", steals_tags, "RepoDigests", "Created",
			 (json_int_t)(known ? info->created_s : 0), "Size", (json_int_t)size,
			 "SharedSize", (json_int_t)-1, "VirtualSize", (json_int_t)size, "Labels",
			 known ? labels_of(info) : json_object(), "Containers", -1);
}

struct listing {
	const struct sk_daemon *d;
	json_t *filters;
	json_t *list;
};

/* "nginx" and "nginx:*" mean any tag of it. */
static bool reference_fits(const char *pattern, const char *name)
{
	size_t len = strcspn(pattern, "*");

	return strncmp(pattern, name, len) == 0 &&
	       (pattern[len] == '*' || name[len] == '\0' || name[len] == ':');
}

/* Leaves the names that fit; is the image to be listed? */
static bool filter_tags(const json_t *filters, json_t *tags)
{
	const json_t *refs = json_object_get(filters, "reference");
	json_t *ref;
	size_t i;

	if (json_array_size(refs) == 0)
		return true;
	for (size_t k = json_array_size(tags); k-- > 0;) {
		bool fits = false;

		json_array_foreach (refs, i, ref)
			fits = fits || reference_fits(json_string_value(ref),
						      json_string_value(json_array_get(tags, k)));
		if (!fits)
			(void)json_array_remove(tags, k);
	}
	return json_array_size(tags) > 0;
}

static int list_one(void *arg, const struct sk_digest *digest, uint64_t size)
{
	struct listing *l = arg;
	json_t *tags = tags_of(l->d, digest);
	bool dangling = json_array_size(tags) == 0;

	if (!filter_tags(l->filters, tags) ||
	    !sk_filter_is(l->filters, "dangling", dangling ? "true" : "false")) {
		json_decref(tags);
		return 0;
	}
	return json_array_append_new(l->list, summary(l->d, digest, size, tags));
}

static int image_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const char *const known[] = { "reference", "dangling", NULL };
	_cleanup_json_ json_t *filters = NULL, *out = json_array();
	struct listing l = { .d = arg, .list = out };
	int r = sk_filters_parse(sk_http_query(req, "filters"), known, &filters, err);

	if (r < 0)
		return r;
	l.filters = filters;
	if (!out || sk_store_list(l.d->store, list_one, &l) < 0)
		return sk_err_oom(err);
	return sk_http_reply_json(req, 200, TAKE_PTR(out));
}

static json_t *config_of(const struct sk_image_info *info)
{
	json_t *env = json_array();

	for (size_t i = 0; i < info->run.n_env; i++)
		(void)json_array_append_new(
			env, json_sprintf("%s=%s", info->run.env[i].name, info->run.env[i].value));
	return json_pack("{s:s, s:o, s:o, s:o, s:s, s:o}", "User", info->run.user ?: "", "Env", env,
			 "Cmd", sk_json_strv(info->run.arguments), "Entrypoint",
			 sk_json_strv(info->run.command), "WorkingDir", info->run.working_dir ?: "",
			 "Labels", labels_of(info));
}

static int image_inspect(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	const struct sk_daemon *d = arg;
	struct sk_digest digest;
	char created[32];
	uint64_t size;
	int r = sk_docker_image_find(d, sk_http_param(req, "name"), &digest, err);

	if (r == 0)
		r = sk_docker_image_info(d, &digest, &info, &size, err);
	if (r < 0)
		return r;
	return sk_http_reply_json(
		req, 200,
		json_pack("{s:o, s:o, s:[], s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:{s:s, s:n}, "
			  "s:{s:s, s:[o]}, s:{}}",
			  "Id", id_of(&digest), "RepoTags", tags_of(d, &digest), "RepoDigests",
			  "Parent", "", "Comment", "", "Created",
			  sk_time_format(created, info->created_s), "Architecture", info->arch,
			  "Os", "linux", "Size", (json_int_t)size, "VirtualSize", (json_int_t)size,
			  "Config", config_of(info), "GraphDriver", "Name", "skerry", "Data",
			  "RootFS", "Type", "layers", "Layers",
			  json_sprintf("sha256:%s", SK_DIGEST_STR(&info->rootfs_digest)),
			  "Metadata"));
}

/* --- tagging and removing --- */

static int tag(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_daemon *d = arg;
	const char *repo = sk_http_query(req, "repo"), *t = sk_http_query(req, "tag");
	_cleanup_free_ char *whole = sk_asprintf("%s%s%s", repo ?: "", t && *t ? ":" : "", t ?: "");
	char name[SK_IMAGE_NAME_MAX + 1];
	struct sk_digest digest;
	int r = sk_docker_image_find(d, sk_http_param(req, "name"), &digest, err);

	if (!whole)
		return sk_err_oom(err);
	if (r == 0)
		r = sk_names_normal(whole, name, err);
	if (r == 0)
		r = sk_names_set(d->names, name, &digest, err);
	return r < 0 ? r : sk_http_reply_empty(req, 201);
}

/* The name under which @ref is known; false when it is an id. */
static bool names_it(const struct sk_daemon *d, const char *ref,
		     char name[static SK_IMAGE_NAME_MAX + 1])
{
	struct sk_digest ignored;

	return sk_names_normal(ref, name, NULL) == 0 && sk_names_get(d->names, name, &ignored) == 0;
}

static size_t count_names(const struct sk_daemon *d, const struct sk_digest *digest)
{
	json_t *tags = tags_of(d, digest);
	size_t n = json_array_size(tags);

	json_decref(tags);
	return n;
}

static int may_remove(const struct sk_daemon *d, const struct sk_digest *digest, bool by_name,
		      bool force, struct sk_err *err)
{
	size_t names = count_names(d, digest);
	struct sk_capsule_view v;

	if (names == 0)
		return sk_err_set(
			err, -EBUSY, "in-use",
			"the image belongs to a release; it goes when no generation needs "
			"it any more");
	if (by_name && names > 1)
		return 0;
	if (used(d, digest, true, &v))
		return sk_err_set(err, -EBUSY, "in-use",
				  "conflict: the container %s (%.12s) uses the image", v.app->name,
				  v.id);
	if (!by_name && names > 1 && !force)
		return sk_err_set(err, -EBUSY, "in-use",
				  "conflict: the image has %zu names; remove them, or use force",
				  names);
	return 0;
}

static int untag(const struct sk_daemon *d, const char *name, json_t *out, struct sk_err *err)
{
	int r = sk_names_del(d->names, name, err);

	if (r == 0 && json_array_append_new(out, json_pack("{s:s}", "Untagged", name)) < 0)
		r = sk_err_oom(err);
	return r;
}

static int untag_all(const struct sk_daemon *d, const struct sk_digest *digest, json_t *out,
		     struct sk_err *err)
{
	_cleanup_json_ json_t *tags = tags_of(d, digest);
	json_t *t;
	size_t i;
	int r = 0;

	json_array_foreach (tags, i, t)
		if (r == 0)
			r = untag(d, json_string_value(t), out, err);
	return r;
}

static int remove_image(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_daemon *d = arg;
	const char *ref = sk_http_param(req, "name");
	_cleanup_json_ json_t *out = json_array();
	char name[SK_IMAGE_NAME_MAX + 1];
	struct sk_digest digest;
	int r = sk_docker_image_find(d, ref, &digest, err);
	bool by_name;

	if (r < 0)
		return r;
	by_name = names_it(d, ref, name);
	r = may_remove(d, &digest, by_name, sk_http_query_true(req, "force"), err);
	if (r == 0)
		r = by_name ? untag(d, name, out, err) : untag_all(d, &digest, out, err);
	if (r < 0)
		return r;
	/* A release may need the same image: the file goes if nobody claims it. */
	sk_claims_collect(d->claims);
	if (!sk_store_has(d->store, &digest))
		(void)json_array_append_new(out, json_pack("{s:o}", "Deleted", id_of(&digest)));
	return sk_http_reply_json(req, 200, TAKE_PTR(out));
}

const struct sk_http_route sk_docker_image_routes[] = {
	{ "GET", "/images/json", image_list },
	{ "GET", "/images/{name*}/json", image_inspect },
	{ "POST", "/images/load", sk_docker_load, SK_IMAGE_SIZE_MAX, sk_docker_load_body },
	{ "POST", "/images/{name*}/tag", tag },
	{ "DELETE", "/images/{name*}", remove_image },
	{ NULL },
};
