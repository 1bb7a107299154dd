/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/http/route.h"
#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int nothing(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return 0;
}

static const struct sk_http_route rows[] = {
	{ "GET", "/", nothing },
	{ "GET", "/containers/json", nothing },
	{ "GET", "/containers/{id}/json", nothing },
	{ "DELETE", "/images/{name*}", nothing },
	{ "GET", "/images/{name*}/json", nothing },
	{ "PUT", "/skerry/v1/images/{digest}", nothing },
	{ NULL },
};
static const struct sk_http_route *const tables[] = { rows };

/* The request line: decoded, judged, looked up. */
static void fuzz_path(char *path)
{
	_cleanup_(sk_router_freep) struct sk_router *router = NULL;
	static const char *const methods[] = { "GET", "HEAD", "DELETE", "PATCH" };
	const struct sk_http_route *route;
	struct sk_route_params params;
	char allow[64];
	size_t len;

	if (sk_url_decode(path, strlen(path), false, &len) < 0 || !sk_url_path_ok(path))
		return;
	assert(strlen(path) == len);
	assert(sk_router_new(tables, 1, &router, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		_cleanup_free_ char *copy = strdup(path);

		if (copy && sk_router_find(router, methods[i], copy, &params, &route, allow) == 0)
			for (size_t k = 0; k < params.n; k++)
				assert(params.v[k].value >= copy &&
				       params.v[k].value <= copy + len && *params.v[k].value);
	}
}

static void fuzz_name(const char *text)
{
	char name[SK_IMAGE_NAME_MAX + 1], again[SK_IMAGE_NAME_MAX + 1];

	if (sk_names_normal(text, name, NULL) < 0)
		return;
	/* The normal form is its own. */
	assert(sk_names_normal(name, again, NULL) < 0 || sk_streq(name, again) ||
	       sk_str_starts(name, "library/") || sk_str_starts(name, "docker.io/") ||
	       sk_str_starts(name, "index.docker.io/"));
}

/* First line: a path. The rest: filters and a create request's body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = { "label", "name", "status", NULL };
	_cleanup_free_ char *text = strndup((const char *)data, size);
	_cleanup_json_ json_t *filters = NULL, *body = NULL;
	struct sk_create create = { 0 };
	struct sk_err err = SK_ERR_INIT;
	char *rest;

	if (!text)
		return 0;
	rest = strchr(text, '\n');
	if (rest)
		*rest++ = '\0';
	fuzz_name(text);
	fuzz_path(text);
	if (!rest)
		return 0;
	if (sk_filters_parse(rest, known, &filters, &err) == 0)
		(void)sk_filter_has(filters, "name", "web", true);
	if (sk_json_parse(rest, strlen(rest), &body, &err) == 0 &&
	    sk_create_parse(body, &create, &err) == 0)
		sk_create_done(&create);
	return 0;
}
