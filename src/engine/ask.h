/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/**
 * sk_ask_halt() - ask the daemon on @socket to stop all capsules, and wait until they are down
 * Return: 0; "unreachable" when there is no daemon, "io" when it goes away meanwhile or refuses
 */
int sk_ask_halt(const char *socket, struct sk_err *err);
