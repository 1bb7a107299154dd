/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/hub/session.h"

/**
 * sk_hub_follow() - follow the jobs that @path lists, or the one it names, until all have ended
 * A line for each change of a device's step. With --json the last state of all is printed.
 * Return: 0 when all are done, 1 when one failed or was aborted, or a failure
 */
int sk_hub_follow(struct sk_cli *cli, struct sk_http_client *c, const char *path,
		  struct sk_err *err);
