/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/text.h"

#define PATH_BYTES_MAX 4096

enum part_kind { PART_LITERAL, PART_PARAM, PART_REST };

struct part {
	enum part_kind kind;
	const char *s; /* literal, or the name; not NUL-terminated */
	size_t len;
};

struct row {
	const struct sk_http_route *route;
	struct part parts[SK_ROUTE_PARTS_MAX];
	size_t n;
	size_t order; /* in the tables */
	size_t table; /* which of them it stands in */
};

struct sk_router {
	struct row *rows;
	size_t n;
};

/* A path cut at its slashes. */
struct cut {
	char *v[SK_ROUTE_PARTS_MAX];
	size_t n;
};

static int compile_part(const char *s, size_t len, struct part *p)
{
	*p = (struct part){ .kind = PART_LITERAL, .s = s, .len = len };
	if (len < 3 || s[0] != '{' || s[len - 1] != '}')
		return memchr(s, '{', len) ? -EINVAL : 0;
	p->kind = s[len - 2] == '*' ? PART_REST : PART_PARAM;
	p->s = s + 1;
	p->len = len - (p->kind == PART_REST ? 3 : 2);
	return p->len > 0 ? 0 : -EINVAL;
}

static int compile(const struct sk_http_route *route, struct row *row)
{
	const char *s = route->pattern;
	size_t params = 0, n_rest = 0;

	if (*s != '/')
		return -EINVAL;
	row->route = route;
	while (*s == '/' && s[1] != '\0') {
		size_t len = strcspn(++s, "/");

		if (row->n == SK_ROUTE_PARTS_MAX || compile_part(s, len, &row->parts[row->n]) < 0)
			return -EINVAL;
		params += row->parts[row->n].kind != PART_LITERAL;
		n_rest += row->parts[row->n].kind == PART_REST;
		row->n++;
		s += len;
	}
	return params <= SK_ROUTE_PARAMS_MAX && n_rest <= 1 ? 0 : -EINVAL;
}

static int by_precedence(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	for (size_t i = 0; i < x->n && i < y->n; i++)
		if (x->parts[i].kind != y->parts[i].kind)
			return x->parts[i].kind < y->parts[i].kind ? -1 : 1;
	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static size_t count_rows(const struct sk_http_route *const *tables, size_t n_tables)
{
	size_t n = 0;

	for (size_t t = 0; t < n_tables; t++)
		for (const struct sk_http_route *row = tables[t]; row->method; row++)
			n++;
	return n;
}

int sk_router_new(const struct sk_http_route *const *tables, size_t n_tables,
		  struct sk_router **ret, struct sk_err *err)
{
	_cleanup_(sk_router_freep) struct sk_router *r = calloc(1, sizeof(*r));
	size_t n = count_rows(tables, n_tables);

	if (!r)
		return sk_err_oom(err);
	r->rows = calloc(n + 1, sizeof(*r->rows));
	if (!r->rows)
		return sk_err_oom(err);
	for (size_t t = 0; t < n_tables; t++) {
		for (const struct sk_http_route *row = tables[t]; row->method; row++) {
			r->rows[r->n].order = r->n;
			r->rows[r->n].table = t;
			if (compile(row, &r->rows[r->n++]) < 0)
				return sk_err_set(err, -EINVAL, "internal", "bad route %s %s",
						  row->method, row->pattern);
		}
	}
	qsort(r->rows, r->n, sizeof(*r->rows), by_precedence);
	*ret = TAKE_PTR(r);
	return 0;
}

void sk_router_free(struct sk_router *r)
{
	if (!r)
		return;
	free(r->rows);
	free(r);
}

static bool part_fits(const struct part *p, const char *value)
{
	if (p->kind == PART_LITERAL)
		return strncmp(p->s, value, p->len) == 0 && value[p->len] == '\0';
	return *value != '\0';
}

/* Parts before "{name*}" are held against the path's start, those after it against its end. */
static bool row_fits(const struct row *row, const struct cut *path)
{
	size_t rest = 0, after;

	while (rest < row->n && row->parts[rest].kind != PART_REST)
		rest++;
	if (rest == row->n ? path->n != row->n : path->n < row->n)
		return false;
	for (size_t i = 0; i < rest; i++)
		if (!part_fits(&row->parts[i], path->v[i]))
			return false;
	if (rest == row->n)
		return true;
	after = row->n - rest - 1;
	for (size_t i = 0; i < after; i++)
		if (!part_fits(&row->parts[rest + 1 + i], path->v[path->n - after + i]))
			return false;
	return *path->v[rest] != '\0';
}

static void add_param(struct sk_route_params *params, const struct part *p, const char *value)
{
	params->v[params->n].name = p->s;
	params->v[params->n].name_len = p->len;
	params->v[params->n++].value = value;
}

static void fill_params(const struct row *row, const struct cut *path,
			struct sk_route_params *params)
{
	size_t at = 0;

	params->n = 0;
	for (size_t i = 0; i < row->n; i++) {
		size_t after = row->n - i - 1, last = path->n - after - 1;

		if (row->parts[i].kind != PART_LITERAL)
			add_param(params, &row->parts[i], path->v[at]);
		/* The rest of the path is one value again: its slashes come back. */
		if (row->parts[i].kind == PART_REST)
			for (; at < last; at++)
				path->v[at][strlen(path->v[at])] = '/';
		at++;
	}
}

static int cut_path(char *path, struct cut *cut)
{
	cut->n = 0;
	if (*path != '/')
		return -EINVAL;
	while (path && (path[1] != '\0' || cut->n > 0)) {
		*path++ = '\0';
		if (cut->n == SK_ROUTE_PARTS_MAX)
			return -E2BIG;
		cut->v[cut->n++] = path;
		path = strchr(path, '/');
	}
	return 0;
}

static bool method_fits(const char *row, const char *method)
{
	return sk_streq(row, sk_streq(method, "HEAD") ? "GET" : method);
}

static void add_allow(char *allow, const char *method)
{
	size_t len = strlen(allow);

	if (!strstr(allow, method))
		(void)snprintf(allow + len, 64 - len, "%s%s%s", len > 0 ? ", " : "", method,
			       sk_streq(method, "GET") ? ", HEAD" : "");
}

int sk_router_find(const struct sk_router *r, const char *method, char *path,
		   struct sk_route_params *params, const struct sk_http_route **ret,
		   char allow[static 64])
{
	struct cut cut;

	*allow = '\0';
	if (cut_path(path, &cut) < 0)
		return -ENOENT;
	for (size_t i = 0; i < r->n; i++) {
		const struct row *row = &r->rows[i];

		if (!row_fits(row, &cut))
			continue;
		if (!method_fits(row->route->method, method)) {
			add_allow(allow, row->route->method);
			continue;
		}
		fill_params(row, &cut, params);
		*ret = row->route;
		return 0;
	}
	return *allow ? -EOPNOTSUPP : -ENOENT;
}

size_t sk_router_table_of(const struct sk_router *r, const struct sk_http_route *route)
{
	size_t i = 0;

	while (r->rows[i].route != route)
		i++;
	return r->rows[i].table;
}

int sk_url_decode(char *s, size_t len, bool plus, size_t *ret_len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		int hi, lo;

		s[to] = plus && s[i] == '+' ? ' ' : s[i];
		if (s[i] == '%') {
			hi = len - i > 2 ? sk_hex_digit(s[i + 1]) : -1;
			lo = hi >= 0 ? sk_hex_digit(s[i + 2]) : -1;
			if (lo < 0)
				return -EINVAL;
			s[to] = (char)(hi << 4 | lo);
			i += 2;
		}
		if (s[to++] == '\0')
			return -EINVAL;
	}
	s[to] = '\0';
	*ret_len = to;
	return sk_utf8_ok(s, to) ? 0 : -EINVAL;
}

bool sk_url_path_ok(const char *path)
{
	size_t len = strlen(path);

	if (*path != '/' || len > PATH_BYTES_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f)
			return false;
	for (const char *s = path; s; s = strchr(s, '/')) {
		size_t n = strcspn(++s, "/");

		if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
	}
	return true;
}
