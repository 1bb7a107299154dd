/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/release/release.h"

#include "cli/device/device.h"

static const struct sk_cmd *const subs[] = {
	&sk_cmd_release_build,
	&sk_cmd_release_show,
	&sk_cmd_release_verify,
	&sk_cmd_release_export,
	/* On a device: device/release.c. */
	&sk_cmd_release_apply,
	&sk_cmd_release_status,
	&sk_cmd_release_list,
	NULL,
};

const struct sk_cmd sk_cmd_release = {
	.name = "release",
	.summary = "sign, check, carry and apply releases",
	.about = "A release is one signed file: a manifest with the digests of its images. "
		 "See docs/reference/release.md.",
	.sub = subs,
};
