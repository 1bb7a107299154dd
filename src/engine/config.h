/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/release/verifier.h"

/**
 * struct sk_daemon_config - settings of skerryd
 * Each is a line "key = value" of /etc/skerry/skerryd.conf; the key is the member's name with dashes.
 * Strings are owned. Reference: docs/reference/skerryd.md
 */
struct sk_daemon_config {
	char **compatible; /* device types, most specific first */
	char *state_dir;
	char *run_dir;
	char *log_dir;
	char *trust_dir;
	char *socket;
	char *socket_group; /* may use the socket like root; "" for nobody */
	char *agent_user;   /* may use the update routes; "" for nobody */
	char *runtime;
	char *monitor;
	char *unpacker; /* of what is loaded through the Docker API */
	uint32_t uid_base;
	uint64_t log_size_max; /* bytes */
	uint64_t unpacked_max; /* bytes that a loaded image may unpack to */
	bool limits_best_effort;
	enum sk_clock_policy clock;
};

/** sk_daemon_config_init() - defaults. 0 or -ENOMEM */
int sk_daemon_config_init(struct sk_daemon_config *c);
void sk_daemon_config_done(struct sk_daemon_config *c);

/** sk_daemon_config_parse() - @text: whole file; @name: for messages. "bad-value" names the line. */
int sk_daemon_config_parse(struct sk_daemon_config *c, const char *name, const char *text,
			   struct sk_err *err);

/** sk_daemon_config_read() - an absent file is no failure unless @required */
int sk_daemon_config_read(struct sk_daemon_config *c, const char *path, bool required,
			  struct sk_err *err);
