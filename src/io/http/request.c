/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "io/http/server_internal.h"
#include "io/json.h"

#define ARENA_MIN  1024
#define ARENA_KEEP 8192 /* a larger one is given back after the request */
#define BODY_KEEP  8192

/* name=value&name=value, decoded in place. */
static int split_query(struct sk_http_req *r, char *query)
{
	char *save = NULL;

	for (char *s = strtok_r(query, "&", &save); s; s = strtok_r(NULL, "&", &save)) {
		char *value = strchr(s, '=');
		size_t len;

		if (r->n_query == QUERY_MAX)
			return -E2BIG;
		if (value)
			*value++ = '\0';
		if (sk_url_decode(s, strlen(s), true, &len) < 0 ||
		    (value && sk_url_decode(value, strlen(value), true, &len) < 0))
			return -EINVAL;
		r->query[r->n_query++] = (struct pair){ s, value ? value : "" };
	}
	return 0;
}

static int arena_need(struct sk_http_req *r, size_t size)
{
	char *arena;

	if (size <= r->arena_size)
		return 0;
	size = SK_MAX(size, (size_t)ARENA_MIN);
	arena = realloc(r->arena, size);
	if (!arena)
		return -ENOMEM;
	r->arena = arena;
	r->arena_size = size;
	return 0;
}

int sk_http_req_set_uri(struct sk_http_req *r, const char *uri)
{
	size_t path_len = strcspn(uri, "?"), len = strlen(uri);
	char *query;

	if (len > URI_MAX)
		return -ENAMETOOLONG;
	if (arena_need(r, 2 * (path_len + 1) + (len - path_len) + 1) < 0)
		return -ENOMEM;
	r->path = r->arena;
	memcpy(r->path, uri, path_len);
	r->path[path_len] = '\0';
	query = r->path + path_len + 1;
	r->cut = query + (len - path_len) + 1;
	if (sk_url_decode(r->path, path_len, false, &path_len) < 0 || !sk_url_path_ok(r->path))
		return -EINVAL;
	/* Rewritten here, so that the program sees the same path that is looked up. */
	if (r->h->config.rewrite)
		r->path += r->h->config.rewrite(r->path) - r->path;
	memcpy(r->cut, r->path, strlen(r->path) + 1);
	uri += strcspn(uri, "?");
	if (*uri != '?')
		return 0;
	memcpy(query, uri + 1, strlen(uri + 1) + 1);
	return split_query(r, query);
}

static void drop_added_headers(struct sk_http_req *r)
{
	for (size_t i = 0; i < r->n_added; i++) {
		free((char *)r->added[i].name);
		free((char *)r->added[i].value);
	}
	r->n_added = 0;
}

/* The request is over; the connection may bring another one. */
void sk_http_req_reset(struct sk_http_req *r)
{
	void *user = TAKE_PTR(r->user);

	if (user && r->free_user)
		r->free_user(user);
	if (r->response)
		MHD_destroy_response(TAKE_PTR(r->response));
	drop_added_headers(r);
	if (r->body.cap > BODY_KEEP)
		sk_buf_done(&r->body);
	r->body.len = 0;
	if (r->arena_size > ARENA_KEEP) {
		free(TAKE_PTR(r->arena));
		r->arena_size = 0;
	}
	r->path = r->cut = NULL;
	r->route = NULL;
	r->params.n = r->n_query = 0;
	r->body_seen = 0;
	r->uri_error = 0;
	r->is_head = false;
	r->free_user = NULL;
	r->gone = NULL;
	r->phase = PHASE_IDLE;
}

void sk_http_req_free(struct sk_http_req *r)
{
	sk_http_req_reset(r);
	sk_buf_done(&r->body);
	free(r->arena);
	free(r);
}

const char *sk_http_method(const struct sk_http_req *req)
{
	return req->is_head ? "HEAD" : req->route ? req->route->method : "";
}

const char *sk_http_path(const struct sk_http_req *req)
{
	return req->path;
}

const char *sk_http_full_path(const struct sk_http_req *req)
{
	return req->path ? req->arena : NULL;
}

const char *sk_http_param(const struct sk_http_req *req, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < req->params.n; i++)
		if (req->params.v[i].name_len == len &&
		    memcmp(req->params.v[i].name, name, len) == 0)
			return req->params.v[i].value;
	return NULL;
}

const char *sk_http_query(struct sk_http_req *req, const char *name)
{
	for (size_t i = 0; i < req->n_query; i++)
		if (sk_streq(req->query[i].name, name))
			return req->query[i].value;
	return NULL;
}

bool sk_http_query_true(struct sk_http_req *req, const char *name)
{
	const char *v = sk_http_query(req, name);

	return v && (sk_streq(v, "1") || sk_streq(v, "true") || sk_streq(v, "True"));
}

const char *sk_http_header(struct sk_http_req *req, const char *name)
{
	return MHD_lookup_connection_value(req->mhd, MHD_HEADER_KIND, name);
}

const char *sk_http_body(const struct sk_http_req *req, size_t *ret_len)
{
	if (ret_len)
		*ret_len = req->body.len;
	if (req->body.len == 0)
		return "";
	return req->body.data;
}

int sk_http_body_json(struct sk_http_req *req, json_t **ret, struct sk_err *err)
{
	if (req->body.len == 0)
		return sk_err_set(err, -EINVAL, "bad-request", "a JSON body is expected");
	return sk_json_parse(req->body.data, req->body.len, ret, err);
}

const char *sk_http_peer(struct sk_http_req *req)
{
	const union MHD_ConnectionInfo *info;

	if (req->peer[0])
		return req->peer;
	info = MHD_get_connection_info(req->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (info && info->client_addr->sa_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)info->client_addr)->sin_addr, req->peer,
			  sizeof(req->peer));
	else if (info && info->client_addr->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)info->client_addr)->sin6_addr,
			  req->peer, sizeof(req->peer));
	else
		(void)snprintf(req->peer, sizeof(req->peer), "unix");
	return req->peer;
}

int sk_http_peer_cred(struct sk_http_req *req, uid_t *uid, gid_t *gid, pid_t *pid)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct ucred cred;

	if (getsockname(req->fd, (struct sockaddr *)&name, &len) < 0 || name.ss_family != AF_UNIX)
		return -EOPNOTSUPP;
	len = sizeof(cred);
	if (getsockopt(req->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -EOPNOTSUPP;
	*uid = cred.uid;
	*gid = cred.gid;
	*pid = cred.pid;
	return 0;
}

void sk_http_set_user(struct sk_http_req *req, void *user, void (*free_user)(void *))
{
	if (req->user && req->user != user && req->free_user)
		req->free_user(req->user);
	req->user = user;
	req->free_user = free_user;
}

void *sk_http_user(const struct sk_http_req *req)
{
	return req->user;
}
