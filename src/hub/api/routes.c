/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/api/routes.h"

#include "base/macros.h"

const struct sk_http_route *const sk_hub_routes[] = {
	sk_hub_work_routes,    sk_hub_enrol_routes,	 sk_hub_login_routes,
	sk_hub_org_routes,     sk_hub_user_routes,	 sk_hub_token_routes,
	sk_hub_project_routes, sk_hub_deployment_routes, sk_hub_enrolment_routes,
	sk_hub_release_routes, sk_hub_image_routes,	 sk_hub_device_routes,
	sk_hub_job_routes,     sk_hub_crl_routes,	 sk_hub_device_crl_routes,
};

const size_t sk_hub_n_routes = ARRAY_SIZE(sk_hub_routes);
