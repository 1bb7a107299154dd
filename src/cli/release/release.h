/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

extern const struct sk_cmd sk_cmd_release;
/* On the desk; each in its file below release/. */
extern const struct sk_cmd sk_cmd_release_build;
extern const struct sk_cmd sk_cmd_release_show;
extern const struct sk_cmd sk_cmd_release_verify;
extern const struct sk_cmd sk_cmd_release_export;
