/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "io/http/server.h"

/* The hub's routes, one table per group; described in docs/reference/hub-api.yaml. */
extern const struct sk_http_route sk_hub_login_routes[];
extern const struct sk_http_route sk_hub_org_routes[];
extern const struct sk_http_route sk_hub_user_routes[];
extern const struct sk_http_route sk_hub_token_routes[];
extern const struct sk_http_route sk_hub_project_routes[];
extern const struct sk_http_route sk_hub_deployment_routes[];
extern const struct sk_http_route sk_hub_enrolment_routes[];
extern const struct sk_http_route sk_hub_release_routes[];
extern const struct sk_http_route sk_hub_image_routes[];
extern const struct sk_http_route sk_hub_device_routes[];
extern const struct sk_http_route sk_hub_job_routes[];
extern const struct sk_http_route sk_hub_crl_routes[];

/* What devices ask; docs/explanation/architecture.md. */
extern const struct sk_http_route sk_hub_enrol_routes[];
extern const struct sk_http_route sk_hub_work_routes[];
extern const struct sk_http_route sk_hub_device_crl_routes[];

/** All of them. */
extern const struct sk_http_route *const sk_hub_routes[];
extern const size_t sk_hub_n_routes;
