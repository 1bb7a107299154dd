/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/runtime/container/cgroup.h"
#include "engine/runtime/container/container.h"

/**
 * struct sk_container_kind - what all containers of an engine share
 * @crun, @conmon: absolute paths
 * @device_rules:  the device filter is written too (needs the right to lock memory for it)
 * @spared:        the kernel spares this process when memory is short; its children it must not
 */
struct sk_container_kind {
	char *crun, *conmon;
	bool device_rules, spared;
	struct sk_cgroup cgroup;
};

static inline const struct sk_container_kind *sk_container_kind_of(const struct sk_runtime_unit *u)
{
	return u->kind->priv;
}

/** sk_container_dial(), sk_container_open_log() - see struct sk_runtime_ops */
int sk_container_dial(const struct sk_runtime_unit *u, uint16_t port, uint64_t deadline_ms,
		      struct sk_err *err);
int sk_container_open_log(const struct sk_runtime_unit *u, const struct sk_log_query *query,
			  const struct sk_log_sink *sink, struct sk_log_reader **ret,
			  struct sk_err *err);
