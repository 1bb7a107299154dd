/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "cli/cmd.h"
#include "model/image.h"

/* `skerry capsule ...`: the group, and what of it runs on a desk */
extern const struct sk_cmd sk_cmd_capsule;
extern const struct sk_cmd sk_cmd_capsule_build;
extern const struct sk_cmd sk_cmd_capsule_show;
extern const struct sk_cmd sk_cmd_capsule_verify;

/** sk_capsule_run_opts() - lay --command, --env, --user, … over what the image says itself. */
int sk_capsule_run_opts(struct sk_cli *cli, struct sk_run *run, struct sk_err *err);

/**
 * sk_capsule_packages() - Debian packages as a tar of a root file system
 * @packages: "nginx-light,curl"
 * @arch:     "amd64", …
 * @out_fd:   receives the tar
 * Runs mmdebstrap, and reports on standard error what it is doing.
 */
int sk_capsule_packages(struct sk_cli *cli, const char *packages, const char *arch, int out_fd,
			struct sk_err *err);

/** sk_capsule_packages_keep() - does a path of that tar belong into a capsule? */
bool sk_capsule_packages_keep(const char *path);

/** sk_capsule_packages_users() - /etc/passwd and /etc/group, where no script wrote them. */
int sk_capsule_packages_users(const char *work, const char *owners, int64_t epoch_s,
			      struct sk_err *err);

/**
 * sk_apt_sources() - lines "deb …" of apt's sources.list for @suite from this machine's own mirror
 * @etc_apt: "/etc/apt"
 * @codename: this machine's release, to tell Debian's mirror from others'
 * Return: 0, "not-found" when the machine has no Debian mirror, "io"
 */
int sk_apt_sources(const char *etc_apt, const char *codename, const char *suite, char ***ret,
		   struct sk_err *err);
