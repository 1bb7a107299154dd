/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/routes.h"

#include "base/macros.h"
#include "hub/api/routes.h"
#include "hub/device/routes.h"

const struct sk_http_route *const sk_hub_routes[] = {
	sk_device_work_routes,	 sk_device_enrol_routes, sk_device_crl_routes,
	sk_api_login_routes,	 sk_api_org_routes,	 sk_api_user_routes,
	sk_api_token_routes,	 sk_api_project_routes,	 sk_api_deployment_routes,
	sk_api_enrolment_routes, sk_api_release_routes,	 sk_api_image_routes,
	sk_api_device_routes,	 sk_api_report_routes,	 sk_api_job_routes,
	sk_api_crl_routes,
};

const size_t sk_hub_n_routes = ARRAY_SIZE(sk_hub_routes);
