/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "engine/api/api.h"

/* Between the files of this folder. Handlers get a struct sk_api. */

/* json.c: new references, NULL without memory */
json_t *sk_api_release_json(const struct sk_api *api, const struct sk_release *r);
json_t *sk_api_image_json(const struct sk_api *api, const struct sk_digest *d, uint64_t size_bytes);
json_t *sk_api_generations_json(const struct sk_api *api);
json_t *sk_api_progress_json(const struct sk_api *api);
json_t *sk_api_status_json(const struct sk_api *api);
json_t *sk_api_missing_images_json(const struct sk_api *api);
json_t *sk_api_missing_releases_json(const struct sk_api *api);

/* params.c */

/** sk_api_digest_param() - "{name}" of the path; "bad-request" when it is no digest */
int sk_api_digest_param(struct sk_http_req *req, const char *name, struct sk_digest *ret,
			struct sk_err *err);
/** sk_api_number_query() - "?name=7"; @ret stays when there is none */
int sk_api_number_query(struct sk_http_req *req, const char *name, uint64_t *ret,
			struct sk_err *err);

/* progress.c: GET /update */
int sk_api_progress(struct sk_http_req *req, void *arg, struct sk_err *err);
/** sk_api_progress_changed() - answers all that wait */
void sk_api_progress_changed(void *arg);
void sk_api_progress_done(struct sk_api *api);

/* upload.c: PUT /images/{digest} */
int sk_api_upload_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
		       struct sk_err *err);
int sk_api_upload(struct sk_http_req *req, void *arg, struct sk_err *err);

/* logs.c: GET /capsules/{name}/logs */
int sk_api_logs(struct sk_http_req *req, void *arg, struct sk_err *err);

/* scrub.c: POST /store/verify */
int sk_api_scrub(struct sk_http_req *req, void *arg, struct sk_err *err);
