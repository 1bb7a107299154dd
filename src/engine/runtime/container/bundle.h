/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "engine/runtime/container/idmap.h"
#include "engine/runtime/container/kind.h"

/**
 * sk_bundle_make() - mount everything that a capsule needs and write its config.json
 * @userns: opened here; for the caller to close, some time after, whether this worked or not
 *
 * On failure something may be mounted below the unit's folder: sk_rootfs_umount() and sk_rm_rf() undo
 * them.
 */
int sk_bundle_make(const struct sk_runtime_unit *u, struct sk_userns *userns, struct sk_err *err);
