/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "base/err.h"

/**
 * struct sk_hub_config - settings: a file of "key = value" lines, then the command line over it
 * Documented in docs/reference/hub.md.
 */
struct sk_hub_config {
	char data[PATH_MAX];
	char listen[128];
	char tls_cert[PATH_MAX]; /* "" : <data>/tls/cert.pem, made when it is not there */
	char tls_key[PATH_MAX];
	char names[1024]; /* of the certificate, with blanks between; "": host name, localhost */
	uint32_t threads;
	uint32_t connections_max;
	uint32_t connections_per_ip;
	uint32_t pending_max;	     /* devices that wait to be accepted, per organisation */
	uint32_t pending_per_ip_max; /* and per address */
	uint32_t poll_max_s;
	uint32_t session_s;
	uint64_t image_max;
	/* how long what is over is kept, days */
	uint32_t audit_keep_days;
	uint32_t jobs_keep_days;
	uint32_t logs_keep_days;
	uint32_t pending_keep_days;
};

void sk_hub_config_defaults(struct sk_hub_config *c);
/** sk_hub_config_set() - one setting, for sk_conf_read(); @config is a struct sk_hub_config */
int sk_hub_config_set(void *config, const char *key, const char *value, struct sk_err *err);
