/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"
#include "io/http/client.h"

/* Commands that talk to skerryd over its socket; what they share. */

extern const struct sk_opt sk_device_opts[];

/** --socket, SKERRY_SOCKET, or the usual place. */
int sk_device_connect(struct sk_cli *cli, struct sk_http_client **ret, struct sk_err *err);
int sk_device_request(struct sk_cli *cli, const char *method, const char *path, json_t **ret,
		      struct sk_err *err);
/**
 * sk_device_list() - GET a list and print it: a table of one row an item, or the answer with --json
 * @add_row: fills one row with sk_table_row() and returns its result
 */
int sk_device_list(struct sk_cli *cli, const char *path, const char *const *headings,
		   int (*add_row)(struct sk_table *t, const json_t *item), struct sk_err *err);
/** A string member, "" when it is absent. Borrowed. */
const char *sk_device_text(const json_t *j, const char *key);

extern const struct sk_cmd sk_cmd_status;
extern const struct sk_cmd sk_cmd_generation;
extern const struct sk_cmd sk_cmd_store;

/* Of the groups "capsule" and "release", the commands that run on a device. */
extern const struct sk_cmd sk_cmd_capsule_list, sk_cmd_capsule_start, sk_cmd_capsule_stop,
	sk_cmd_capsule_restart, sk_cmd_capsule_logs;
extern const struct sk_cmd sk_cmd_release_apply, sk_cmd_release_status, sk_cmd_release_list;
