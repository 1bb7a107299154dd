/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

extern const struct sk_cmd sk_cmd_simulate;
