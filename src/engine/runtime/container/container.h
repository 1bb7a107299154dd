/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/runtime/runtime.h"

/* Containers: what main.c registers. All else of this folder is the kind's own. */

/** struct sk_container_settings - programs by name or path; NULL for those of the name in Debian */
struct sk_container_settings {
	const char *crun, *conmon;
};

extern const struct sk_runtime_ops sk_container_ops;
