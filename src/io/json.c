/* SPDX-License-Identifier: Apache-2.0 */
#include "io/json.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

#define DEPTH_MAX	 32
#define STRV_ELEMENT_MAX 4096

static int bad_key(struct sk_err *err, const char *key, const char *what)
{
	return sk_err_set(err, -EINVAL, "bad-request", "\"%.64s\" must be %s", key, what);
}

/*
 * jansson's own bound (2048) is fixed when it is built, and each level costs stack in its parser,
 * its writer and every walk of ours. Brackets inside strings do not count.
 */
static int json_check_depth(const char *text, size_t len)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if ((c == '{' || c == '[') && ++depth > DEPTH_MAX)
			return -E2BIG;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return 0;
}

int sk_json_parse(const char *text, size_t len, json_t **ret, struct sk_err *err)
{
	json_error_t e;
	json_t *v;

	if (json_check_depth(text, len) < 0)
		return sk_err_set(err, -EINVAL, "bad-request",
				  "JSON is nested more than %d levels deep", DEPTH_MAX);
	v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (!v && json_error_code(&e) == json_error_out_of_memory)
		return sk_err_oom(err);
	if (!v)
		return sk_err_set(err, -EINVAL, "bad-request",
				  "not valid JSON: line %d, column %d: %s", e.line, e.column,
				  e.text);
	*ret = v;
	return 0;
}

/* The value of @key; NULL when it is absent or null. */
static json_t *lookup(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	return json_is_null(v) ? NULL : v;
}

int sk_json_get_str(const json_t *obj, const char *key, const char **ret, struct sk_err *err)
{
	const json_t *v = lookup(obj, key);

	if (v && !json_is_string(v))
		return bad_key(err, key, "a string");
	*ret = v ? json_string_value(v) : NULL;
	return 0;
}

int sk_json_need_str(const json_t *obj, const char *key, size_t max, const char **ret,
		     struct sk_err *err)
{
	const json_t *v = lookup(obj, key);

	if (!v)
		return sk_err_set(err, -EINVAL, "bad-request", "\"%.64s\" is missing", key);
	if (!json_is_string(v) || json_string_length(v) == 0)
		return bad_key(err, key, "a string that is not empty");
	if (json_string_length(v) > max)
		return sk_err_set(err, -EINVAL, "bad-request", "\"%.64s\" is longer than %zu bytes",
				  key, max);
	*ret = json_string_value(v);
	return 0;
}

int sk_json_get_bool(const json_t *obj, const char *key, bool *ret, struct sk_err *err)
{
	const json_t *v = lookup(obj, key);

	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return bad_key(err, key, "true or false");
	*ret = json_is_true(v);
	return 0;
}

int sk_json_get_u64(const json_t *obj, const char *key, uint64_t *ret, struct sk_err *err)
{
	const json_t *v = lookup(obj, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return bad_key(err, key, "a whole number, 0 or more");
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

int sk_json_get_strv(const json_t *obj, const char *key, size_t max, char ***ret,
		     struct sk_err *err)
{
	_cleanup_strv_ char **v = NULL;
	json_t *list = lookup(obj, key), *item;
	size_t i;

	if (list && !json_is_array(list))
		return bad_key(err, key, "a list of strings");
	if (json_array_size(list) > max)
		return sk_err_set(err, -EINVAL, "bad-request",
				  "\"%.64s\" has more than %zu elements", key, max);
	json_array_foreach (list, i, item) {
		if (!json_is_string(item) || json_string_length(item) > STRV_ELEMENT_MAX)
			return bad_key(err, key, "a list of strings of at most 4096 bytes each");
		if (sk_strv_add(&v, json_string_value(item)) < 0)
			return sk_err_oom(err);
	}
	*ret = TAKE_PTR(v);
	return 0;
}

int sk_json_need_digest(const json_t *obj, const char *key, struct sk_digest *ret,
			struct sk_err *err)
{
	const char *s;
	int r = sk_json_need_str(obj, key, 128, &s, err);

	if (r < 0)
		return r;
	if (sk_digest_parse(s, ret) < 0)
		return bad_key(err, key, "a SHA-256: 64 lower-case hex digits");
	return 0;
}

static bool is_known(const char *const *known, const char *key)
{
	for (; *known; known++)
		if (sk_streq(*known, key))
			return true;
	return false;
}

int sk_json_only(const json_t *obj, const char *const *known, struct sk_err *err)
{
	const char *key;
	json_t *v;

	if (!json_is_object(obj))
		return sk_err_set(err, -EINVAL, "bad-request", "a JSON object is expected");
	/* The macro casts away const, but nothing is changed. */
	json_object_foreach ((json_t *)obj, key, v)
		if (!is_known(known, key))
			return sk_err_set(err, -EINVAL, "bad-request", "unknown key \"%.64s\"",
					  key);
	return 0;
}

json_t *sk_json_strv(char *const *v)
{
	_cleanup_json_ json_t *list = json_array();

	if (!list)
		return NULL;
	SK_STRV_FOREACH (s, v)
		if (json_array_append_new(list, json_string(*s)) < 0)
			return NULL;
	return TAKE_PTR(list);
}
