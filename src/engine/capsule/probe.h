/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "engine/runtime/runtime.h"
#include "model/manifest.h"

/**
 * struct sk_probe - one health check over the network, made by a child of the daemon
 * @unit: its kind can dial
 */
struct sk_probe {
	enum sk_health_kind kind; /* HTTP or TCP */
	uint16_t port;
	const char *http_path;
	uint64_t timeout_ms;
	const struct sk_runtime_unit *unit;
};

/**
 * sk_probe_run() - blocks up to the timeout; writes one line of finding to standard output
 * Return: 0 healthy, 1 not (fits sk_child_task())
 */
int sk_probe_run(void *probe);

/** sk_probe_http_status() - of the start of an answer; -1 when it is none */
int sk_probe_http_status(const char *answer);
