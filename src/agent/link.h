/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/config.h"
#include "agent/identity.h"

/**
 * sk_agent_link_run() - be the link: session, inventory, work, for ever
 * Return: only when it cannot even begin
 */
int sk_agent_link_run(const struct sk_agent_config *config, const struct sk_identity *identity,
		      struct sk_err *err);
