/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/runtime/container/cgroup.h"
#include "engine/runtime/container/user.h"
#include "model/manifest.h"

/**
 * struct sk_oci_input - all that decides a capsule's runtime configuration; borrowed
 * @dir:         the capsule's folder: rootfs/, vol/<n>, dev/<n>, hosts
 * @uid_base:    host id of the capsule's root
 * @cgroup_path: "/skerry/<id>"
 * @cgroup:      what can be limited here
 * @best_effort: leave out a limit that cannot be enforced, instead of refusing
 * @device_rules: write the device filter too (needs the right to lock memory for it)
 * @user_made:   made through an API, not by a release: root inside may change owners and users
 * @spared:      the daemon has an out-of-memory score that what it starts must not inherit
 * @has_hosts, @has_resolv: the image has the file, so that something can be mounted over it
 * @device_hosts, @device_resolv: this device has the file itself; a bare one may not
 */
struct sk_oci_input {
	const struct sk_app *app;
	const struct sk_user *user;
	const char *dir;
	uint32_t uid_base;
	const char *cgroup_path;
	const struct sk_cgroup *cgroup;
	bool best_effort, device_rules, user_made, terminal, spared;
	bool has_hosts, has_resolv, device_hosts, device_resolv;
};

/**
 * sk_oci_config() - the config.json of the OCI runtime specification
 * @ret: new reference
 * Return: 0, "bad-value" (no command, text that is not UTF-8), "not-supported" (a limit that this
 * machine cannot enforce), "out-of-memory"
 */
int sk_oci_config(const struct sk_oci_input *in, json_t **ret, struct sk_err *err);

/** sk_oci_targets() - folders that must exist in the root to be mounted on; owned vector */
int sk_oci_targets(const struct sk_app *app, char ***ret);
