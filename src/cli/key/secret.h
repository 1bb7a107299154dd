/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "cli/cmd.h"
#include "io/crypto/keys.h"

#define SK_PASSPHRASE_MAX 256
#define SK_PASSPHRASE_ENV "SKERRY_PASSPHRASE"

/**
 * struct sk_secret_from - where a command takes a passphrase or PIN from
 * In this order: the first line of @file, the environment (SKERRY_PASSPHRASE), a question on the
 * terminal when there is one.
 */
struct sk_secret_from {
	const char *file; /* may be NULL */
};

/** sk_cli_secret() - for sk_key_load() and the like; @from is borrowed. */
struct sk_secret sk_cli_secret(const struct sk_secret_from *from);

/**
 * sk_cli_new_secret() - a passphrase for something new: asked twice on a terminal
 * @buf: NUL-terminated; wipe it after use. "bad-value" when there is none, or it is short
 */
int sk_cli_new_secret(const struct sk_secret_from *from, const char *what,
		      char buf[static SK_PASSPHRASE_MAX + 1], struct sk_err *err);
