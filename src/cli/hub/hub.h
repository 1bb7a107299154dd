/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

/** `skerry hub ...`: everything that people and programs ask of a fleet hub. */
extern const struct sk_cmd sk_cmd_hub;
