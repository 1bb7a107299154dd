/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/log.h"
#include "cli/capsule/capsule.h"
#include "cli/cmd.h"
#include "cli/device/device.h"
#include "cli/help.h"
#include "cli/hub/hub.h"
#include "cli/key/key.h"
#include "cli/manifest/manifest.h"
#include "cli/release/release.h"
#include "cli/simulate/simulate.h"

/* In the order that help shows. Each group lives in a file of its own. */
static const struct sk_cmd *const commands[] = {
	/* clang-format off */
	&sk_cmd_capsule,
	&sk_cmd_manifest,
	&sk_cmd_key,
	&sk_cmd_release,
	&sk_cmd_simulate,
	&sk_cmd_hub,
	&sk_cmd_status,
	&sk_cmd_generation,
	&sk_cmd_store,
	&sk_cmd_completion,
	&sk_cmd_man,
	&sk_cmd_version,
	NULL,
	/* clang-format on */
};

static const struct sk_cmd root = {
	.name = "skerry",
	.summary = "carry software from a desk to devices, and keep it running there",
	.about = "On a developer's desk: manifests, keys, capsule images, releases, a simulated "
		 "device, and the fleet hub. On a device: its capsules, releases and store.",
	.sub = commands,
};

int main(int argc, char **argv)
{
	if (sk_std_fds_open() < 0)
		return 1;
	sk_log_open("skerry", SK_LOG_WARNING);
	return sk_cli_main(&root, argc, argv);
}
