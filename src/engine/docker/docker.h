/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "engine/daemon.h"
#include "model/image.h"

/*
 * The Docker Engine API's first part, one file per group of endpoints. What is supported stands in
 * docs/reference/docker-api.md; everything else is answered 501 by name.
 */
#define SK_DOCKER_API_MAJOR	1
#define SK_DOCKER_API_MINOR_MAX 44
#define SK_DOCKER_API_MINOR_MIN 24
#define SK_DOCKER_API_VERSION	"1.44"
#define SK_DOCKER_API_MIN	"1.24"

extern const struct sk_http_route sk_docker_system_routes[];
extern const struct sk_http_route sk_docker_image_routes[];
extern const struct sk_http_route sk_docker_container_routes[];
extern const struct sk_http_route sk_docker_wait_routes[];
extern const struct sk_http_route sk_docker_log_routes[];
extern const struct sk_http_route sk_docker_event_routes[];
extern const struct sk_http_route sk_docker_unsupported_routes[];

/** For struct sk_http_config: Docker's {"message"}, or Skerry's own below /skerry. */
json_t *sk_docker_error_body(const struct sk_http_req *req, const struct sk_err *err);
/** For struct sk_http_config: "/v1.41/info" is "/info". */
const char *sk_docker_strip_version(const char *path);
/** 0, or "bad-request" when @path asks for a version that is not spoken here, in Docker's words. */
int sk_docker_check_version(const char *path, struct sk_err *err);

/* filters.c: {"label":["a=b"]} and {"label":{"a=b":true}} */

/**
 * sk_filters_parse() - the query parameter "filters"
 * @text:  NULL or empty: no filter
 * @known: NULL-terminated names; another one is "bad-request"
 * @ret:   {name: [value, ...]}; new reference
 */
int sk_filters_parse(const char *text, const char *const *known, json_t **ret, struct sk_err *err);
/** No filter of that name, or one of its values is @value. */
bool sk_filter_is(const json_t *filters, const char *name, const char *value);
/** As above, for a value that begins with the filter's (ids) or, @anywhere, contains it (names). */
bool sk_filter_has(const json_t *filters, const char *name, const char *value, bool anywhere);
/** All of the label filters ("key" or "key=value") hold for @labels. */
bool sk_filter_labels(const json_t *filters, char *const *labels);

/* images.c */

/** sk_docker_image_find() - by name, id ("sha256:" or not) or unique prefix of an id. "not-found" */
int sk_docker_image_find(const struct sk_daemon *d, const char *ref, struct sk_digest *ret,
			 struct sk_err *err);
/** sk_docker_image_info() - what the image says of itself */
int sk_docker_image_info(const struct sk_daemon *d, const struct sk_digest *digest,
			 struct sk_image_info **ret, uint64_t *ret_size, struct sk_err *err);
/** Has it a local name, or a capsule that a user made? */
bool sk_docker_image_in_use(const struct sk_daemon *d, const struct sk_digest *digest);

/* view.c: a capsule as Docker shows it; new references, NULL without memory */
const char *sk_docker_state(const struct sk_capsule_view *v);
json_t *sk_docker_summary(const struct sk_capsule_view *v);
json_t *sk_docker_inspect(const struct sk_capsule_view *v);
json_t *sk_docker_labels(char *const *labels);
/** "Up 5 minutes (healthy)", "Exited (0) 2 hours ago"; returns @buf */
const char *sk_docker_status_text(const struct sk_capsule_view *v, int64_t now_s,
				  char buf[static 96]);

/* containers.c */

/** sk_docker_find() - the capsule of "{id}"; "No such container: x" otherwise */
struct sk_capsule *sk_docker_find(struct sk_http_req *req, const struct sk_daemon *d,
				  struct sk_err *err);

/* create.c */

int sk_docker_create(struct sk_http_req *req, void *arg, struct sk_err *err);

/** struct sk_create - what a create request asks for, checked */
struct sk_create {
	struct sk_app app; /* name not set; strings owned */
	char *image;	   /* as it was written */
	char **labels;	   /* "key=value" */
	char **warnings;
	bool has_entrypoint;
	bool auto_remove;
};
/**
 * sk_create_parse() - @body: of POST /containers/create
 * Whatever would change or weaken what was asked for and is not supported is refused by name:
 * "not-supported", or "bad-request" for a value that makes no sense.
 */
int sk_create_parse(const json_t *body, struct sk_create *ret, struct sk_err *err);
void sk_create_done(struct sk_create *c);

/* load.c */

/** sk_docker_loads_new() - what is under way in `docker load`; @d is borrowed */
int sk_docker_loads_new(struct sk_daemon *d, struct sk_docker_loads **ret);
/** Ends them all. */
void sk_docker_loads_free(struct sk_docker_loads *l);
int sk_docker_load_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
			struct sk_err *err);
int sk_docker_load(struct sk_http_req *req, void *arg, struct sk_err *err);
