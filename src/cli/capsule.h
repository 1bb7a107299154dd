/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

/* skerry capsule build | show | verify */
extern const struct sk_cmd sk_cmd_capsule;
