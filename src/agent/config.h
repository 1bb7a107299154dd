/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

#define SK_AGENT_CONFIG_FILE "/etc/skerry/agent.conf"

/**
 * struct sk_agent_config - agent.conf
 * Reference: docs/reference/agent.md
 */
struct sk_agent_config {
	char *hub;	    /* "https://hub.example:8443" */
	char *ca_file;	    /* the only authorities to trust, or NULL for the system's */
	char *name;	    /* shown in the hub; default: host name */
	char *organisation; /* to enrol with without a token, or NULL */
	char *token;	    /* enrolment token, or NULL */
	char **compatible;  /* device types */
	char *state_dir;
	char *socket; /* skerryd's */
	uint64_t poll_ms;
	uint64_t retry_min_ms, retry_max_ms;
	uint64_t inventory_ms; /* looked at this often; sent when it changed */
};

int sk_agent_config_load(const char *path, struct sk_agent_config *ret, struct sk_err *err);
void sk_agent_config_done(struct sk_agent_config *c);
