/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hub/hub.h"

#include "cli/hub/session.h"

static const struct sk_cmd *const commands[] = {
	&sk_hub_cmd_login,	&sk_hub_cmd_logout,
	&sk_hub_cmd_org,	&sk_hub_cmd_user,
	&sk_hub_cmd_token,	&sk_hub_cmd_project,
	&sk_hub_cmd_deployment, &sk_hub_cmd_release,
	&sk_hub_cmd_crl,	&sk_hub_cmd_device,
	&sk_hub_cmd_job,	&sk_hub_cmd_logs,
	&sk_hub_cmd_audit,	NULL,
};

const struct sk_cmd sk_cmd_hub = {
	.name = "hub",
	.summary = "a fleet of devices, through its hub",
	.about = "Projects, their deployments and devices, and the releases that reach them. "
		 "Commands print tables for people; --json prints the hub's own answers.",
	.sub = commands,
};
