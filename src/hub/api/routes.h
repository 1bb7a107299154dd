/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "io/http/server.h"

/* What users ask, one table per group; described in docs/reference/hub-api.yaml. */
extern const struct sk_http_route sk_api_login_routes[];
extern const struct sk_http_route sk_api_org_routes[];
extern const struct sk_http_route sk_api_user_routes[];
extern const struct sk_http_route sk_api_token_routes[];
extern const struct sk_http_route sk_api_project_routes[];
extern const struct sk_http_route sk_api_deployment_routes[];
extern const struct sk_http_route sk_api_enrolment_routes[];
extern const struct sk_http_route sk_api_release_routes[];
extern const struct sk_http_route sk_api_image_routes[];
extern const struct sk_http_route sk_api_device_routes[];
extern const struct sk_http_route sk_api_report_routes[];
extern const struct sk_http_route sk_api_job_routes[];
extern const struct sk_http_route sk_api_crl_routes[];
