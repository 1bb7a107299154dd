/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"

extern const struct sk_cmd sk_cmd_key;
/* In show.c */
extern const struct sk_cmd sk_cmd_key_list;
extern const struct sk_cmd sk_cmd_key_show;

#define SK_KEYS_DIR "keys"
#define SK_OPT_KEYS_DIR                                                \
	{                                                              \
		"dir", 0, "DIR", "the key folder; \"keys\" without it" \
	}
