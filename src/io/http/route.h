/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/macros.h"
#include "io/http/server.h"

/*
 * Paths and queries as they come over the wire, and the tables they are looked up in. No connection
 * is involved: everything here works on strings.
 */
#define SK_ROUTE_PARAMS_MAX 6
#define SK_ROUTE_PARTS_MAX  24

/** Values of "{name}" parts; @value points into the path that was matched. */
struct sk_route_params {
	struct {
		const char *name;
		size_t name_len;
		const char *value;
	} v[SK_ROUTE_PARAMS_MAX];
	size_t n;
};

struct sk_router;

/** sk_router_new() - compile tables; literal parts win over "{name}", which wins over "{name*}" */
int sk_router_new(const struct sk_http_route *const *tables, size_t n_tables,
		  struct sk_router **ret, struct sk_err *err);
void sk_router_free(struct sk_router *r);
SK_DEFINE_CLEANUP(struct sk_router, sk_router_free);

/**
 * sk_router_find() - the row for a request
 * @method: "HEAD" finds rows of "GET"
 * @path:   decoded; cut into parts in place (slashes become NULs), @params point into it
 * @allow:  at least 64 bytes: "GET, HEAD, POST" of the rows with this path, when -EOPNOTSUPP
 * Return: 0; -ENOENT: no such path; -EOPNOTSUPP: not with this method
 */
int sk_router_find(const struct sk_router *r, const char *method, char *path,
		   struct sk_route_params *params, const struct sk_http_route **ret,
		   char allow[static 64]);

/** sk_router_table_of() - index of the table in which a row that was found stands */
size_t sk_router_table_of(const struct sk_router *r, const struct sk_http_route *route);

/**
 * sk_url_decode() - percent-decoding in place
 * @len: of @s; @ret_len: what is left, NUL-terminated. @plus: '+' is a blank (queries).
 * Return: 0 or -EINVAL: a bad escape, a NUL or something that is not UTF-8
 */
int sk_url_decode(char *s, size_t len, bool plus, size_t *ret_len);

/** sk_url_path_ok() - absolute, no "." or ".." part, no control character; at most 4096 bytes */
bool sk_url_path_ok(const char *path);
