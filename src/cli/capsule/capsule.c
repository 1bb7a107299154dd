/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/capsule/capsule.h"

#include "cli/device/device.h"

static const struct sk_cmd *const subs[] = {
	&sk_cmd_capsule_build,
	&sk_cmd_capsule_show,
	&sk_cmd_capsule_verify,
	/* On a device: device/capsule.c. */
	&sk_cmd_capsule_list,
	&sk_cmd_capsule_start,
	&sk_cmd_capsule_stop,
	&sk_cmd_capsule_restart,
	&sk_cmd_capsule_logs,
	NULL,
};

const struct sk_cmd sk_cmd_capsule = {
	.name = "capsule",
	.summary = "make capsule images; run capsules on a device",
	.sub = subs,
};
