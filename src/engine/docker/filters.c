/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

#define TEXT_MAX 8192

/* One filter's values, in either of the two forms. */
static json_t *values_of(const json_t *v)
{
	_cleanup_json_ json_t *list = json_array();
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_array(v)) {
		json_array_foreach (v, i, item)
			if (!json_is_string(item) || json_array_append(list, item) < 0)
				return NULL;
		return TAKE_PTR(list);
	}
	if (!json_is_object(v))
		return NULL;
	json_object_foreach ((json_t *)v, key, item)
		if (json_is_true(item) && json_array_append_new(list, json_string(key)) < 0)
			return NULL;
	return TAKE_PTR(list);
}

static bool is_known(const char *const *known, const char *name)
{
	for (; *known; known++)
		if (sk_streq(*known, name))
			return true;
	return false;
}

int sk_filters_parse(const char *text, const char *const *known, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *in = NULL, *out = json_object();
	const char *name;
	json_t *v;
	int r;

	if (!out)
		return sk_err_oom(err);
	if (text && strlen(text) > TEXT_MAX)
		return sk_err_set(err, -E2BIG, "bad-request", "the filters are too long");
	if (text && *text) {
		r = sk_json_parse(text, strlen(text), &in, err);
		if (r < 0)
			return r;
		if (!json_is_object(in) && !json_is_null(in))
			return sk_err_set(err, -EINVAL, "bad-request", "filters are a JSON object");
	}
	json_object_foreach (in, name, v) {
		json_t *values = values_of(v);

		if (!is_known(known, name)) {
			json_decref(values);
			return sk_err_set(err, -EINVAL, "bad-request", "invalid filter '%.64s'",
					  name);
		}
		if (!values || json_object_set_new(out, name, values) < 0)
			return sk_err_set(err, -EINVAL, "bad-request",
					  "the values of filter '%.64s' are strings", name);
	}
	*ret = TAKE_PTR(out);
	return 0;
}

static bool matches(const json_t *filters, const char *name,
		    bool (*fits)(const char *filter, const char *value), const char *value)
{
	const json_t *list = json_object_get(filters, name);
	json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return true;
	json_array_foreach (list, i, item)
		if (fits(json_string_value(item), value))
			return true;
	return false;
}

static bool equal(const char *filter, const char *value)
{
	return sk_streq(filter, value);
}

static bool begins(const char *filter, const char *value)
{
	return sk_str_starts(value, filter);
}

static bool contains(const char *filter, const char *value)
{
	return strstr(value, *filter == '/' ? filter + 1 : filter) != NULL;
}

bool sk_filter_is(const json_t *filters, const char *name, const char *value)
{
	return matches(filters, name, equal, value);
}

bool sk_filter_has(const json_t *filters, const char *name, const char *value, bool anywhere)
{
	return matches(filters, name, anywhere ? contains : begins, value);
}

static bool has_label(const char *filter, char *const *labels)
{
	size_t len = strlen(filter);

	SK_STRV_FOREACH (l, labels)
		if (sk_streq(*l, filter) ||
		    (!strchr(filter, '=') && strncmp(*l, filter, len) == 0 && (*l)[len] == '='))
			return true;
	return false;
}

bool sk_filter_labels(const json_t *filters, char *const *labels)
{
	const json_t *list = json_object_get(filters, "label");
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (!has_label(json_string_value(item), labels))
			return false;
	return true;
}
