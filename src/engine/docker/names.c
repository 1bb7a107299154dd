/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/docker/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "io/json.h"

#define RECORD "image-names"

struct sk_names {
	struct sk_store *store;
	struct sk_map *map; /* name -> struct sk_digest * */
	bool lost;	    /* there were others, and they cannot be read */
};

static int names_add(struct sk_map *map, const char *name, const struct sk_digest *d)
{
	struct sk_digest *copy = malloc(sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *d;
	r = sk_map_add(map, name, copy);
	if (r < 0)
		free(copy);
	return r;
}

static int load(struct sk_names *n, const json_t *obj, struct sk_err *err)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)obj, name, v) {
		struct sk_digest d;
		int r = sk_json_need_digest(obj, name, &d, err);

		if (r == 0)
			r = names_add(n->map, name, &d);
		if (r == -ENOMEM)
			return sk_err_oom(err);
		if (r < 0)
			return r;
	}
	return 0;
}

int sk_names_open(struct sk_store *store, struct sk_names **ret, struct sk_err *err)
{
	_cleanup_(sk_names_freep) struct sk_names *n = calloc(1, sizeof(*n));
	_cleanup_json_ json_t *obj = NULL;
	_cleanup_free_ char *text = NULL;
	struct sk_err why = SK_ERR_INIT;
	size_t len;
	int r;

	if (!n)
		return sk_err_oom(err);
	n->store = store;
	n->map = sk_map_new(free);
	if (!n->map)
		return sk_err_oom(err);
	r = sk_store_get_record(store, RECORD, &text, &len, &why);
	if (r == 0)
		r = sk_json_parse(text, len, &obj, &why);
	if (r == 0 && !json_is_object(obj))
		r = sk_err_set(&why, -EINVAL, "bad-value", "the record is no list of names");
	if (r == 0)
		r = load(n, obj, &why);
	if (r == -ENOMEM)
		return sk_err_oom(err);
	n->lost = r < 0 && r != -ENOENT;
	if (n->lost)
		sk_error("the local image names are lost, their images stay: %s", why.text);
	*ret = TAKE_PTR(n);
	return 0;
}

void sk_names_free(struct sk_names *n)
{
	if (!n)
		return;
	sk_map_free(n->map);
	free(n);
}

/* A part of a reference: letters, digits and separators inside. */
static bool part_ok(const char *s, size_t len, bool upper)
{
	if (len == 0 || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("._-", s[i]))
			return false;
		else if (!upper && isupper((unsigned char)s[i]))
			return false;
	return true;
}

static bool repository_ok(const char *s, size_t len)
{
	while (len > 0) {
		const char *slash = memchr(s, '/', len);
		const char *colon = memchr(s, ':', len);
		size_t part = slash ? (size_t)(slash - s) : len;

		/* "registry.example:5000/app": a port belongs to the first part. */
		if (slash && colon && colon < slash &&
		    strspn(colon + 1, "0123456789") == (size_t)(slash - colon - 1))
			part = (size_t)(colon - s);
		if (!part_ok(s, part, false))
			return false;
		if (!slash)
			return true;
		len -= (size_t)(slash - s) + 1;
		s = slash + 1;
	}
	return false;
}

int sk_names_normal(const char *name, char buf[static SK_IMAGE_NAME_MAX + 1], struct sk_err *err)
{
	static const char *const implied[] = { "docker.io/library/", "docker.io/",
					       "index.docker.io/library/", "library/" };
	const char *given = name, *tag;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(implied); i++)
		if (sk_str_starts(name, implied[i])) {
			name += strlen(implied[i]);
			break;
		}
	tag = strrchr(name, ':');
	if (tag && strchr(tag, '/'))
		tag = NULL;
	len = tag ? (size_t)(tag - name) : strlen(name);
	tag = tag ? tag + 1 : "latest";
	if (len + strlen(tag) + 1 > SK_IMAGE_NAME_MAX || !repository_ok(name, len) ||
	    !part_ok(tag, strlen(tag), true))
		return sk_err_set(err, -EINVAL, "bad-name",
				  "\"%.140s\" is no image name; write name:tag in lower case",
				  given);
	(void)snprintf(buf, SK_IMAGE_NAME_MAX + 1, "%.*s:%s", (int)len, name, tag);
	return 0;
}

static int save(struct sk_names *n, struct sk_err *err)
{
	_cleanup_json_ json_t *obj = json_object();
	_cleanup_free_ char *text = NULL;
	struct sk_digest *d;
	const char *name;

	SK_MAP_FOREACH (n->map, name, d)
		if (json_object_set_new(obj, name, json_string(SK_DIGEST_STR(d))) < 0)
			return sk_err_oom(err);
	text = obj ? json_dumps(obj, JSON_COMPACT) : NULL;
	if (!text)
		return sk_err_oom(err);
	return sk_store_put_record(n->store, RECORD, text, strlen(text), err);
}

/* What is in memory is what is on disk: a failed write takes the change back. */
static int change(struct sk_names *n, const char *name, const struct sk_digest *d,
		  struct sk_err *err)
{
	_cleanup_free_ struct sk_digest *old = sk_map_take(n->map, name);
	int r = d ? names_add(n->map, name, d) : 0;

	r = r < 0 ? sk_err_oom(err) : save(n, err);
	if (r < 0) {
		sk_map_del(n->map, name);
		if (old)
			(void)names_add(n->map, name, old);
	}
	return r;
}

int sk_names_set(struct sk_names *n, const char *name, const struct sk_digest *d,
		 struct sk_err *err)
{
	if (!sk_map_get(n->map, name) && sk_map_len(n->map) >= SK_NAMES_MAX)
		return sk_err_set(err, -E2BIG, "too-many",
				  "there are %d image names already; remove some", SK_NAMES_MAX);
	return change(n, name, d, err);
}

int sk_names_del(struct sk_names *n, const char *name, struct sk_err *err)
{
	return sk_map_get(n->map, name) ? change(n, name, NULL, err) : 0;
}

int sk_names_get(const struct sk_names *n, const char *name, struct sk_digest *ret)
{
	const struct sk_digest *d = sk_map_get(n->map, name);

	if (!d)
		return -ENOENT;
	*ret = *d;
	return 0;
}

bool sk_names_next(const struct sk_names *n, size_t *pos, const char **name, struct sk_digest *d)
{
	void *v;

	if (!sk_map_next(n->map, pos, name, &v))
		return false;
	*d = *(struct sk_digest *)v;
	return true;
}

bool sk_names_has(const struct sk_names *n, const struct sk_digest *d)
{
	struct sk_digest *v;
	const char *name;

	SK_MAP_FOREACH (n->map, name, v)
		if (sk_digest_equal(v, d))
			return true;
	return n->lost;
}
