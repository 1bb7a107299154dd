/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cmd.h"
#include "io/http/client.h"

/*
 * What the hub commands share: the connection, with the credentials of `skerry hub login` or of the
 * environment, paths, and printing.
 */

#define _cleanup_client_ _cleanup_(sk_http_client_freep)

/* Rows of every hub command's options. */
#define SK_HUB_OPTS                                                                             \
	{ "hub", 0, "URL", "hub to talk to (default: SKERRY_HUB, or that of the last login)" }, \
	{                                                                                       \
		"ca", 0, "FILE", "authority of the hub's certificate"                           \
	}

/** sk_hub_open() - a client that is logged in. "unauthorized" when there are no credentials. */
int sk_hub_open(struct sk_cli *cli, struct sk_http_client **ret, struct sk_err *err);

/** sk_hub_path() - "/api/v1/" and the template, "{}" replaced by the encoded strings; owned. */
char *sk_hub_path(const char *template, ...);

/** Request with optional body (stolen); answer may be NULL. A NULL @path is out of memory. */
int sk_hub_call(struct sk_http_client *c, const char *method, const char *path, json_t *steals,
		json_t **ret, struct sk_err *err);

/** sk_hub_request() - the same over a connection of its own, for commands that make one request */
int sk_hub_request(struct sk_cli *cli, const char *method, const char *path, json_t *steals,
		   json_t **ret, struct sk_err *err);

/** sk_hub_list() - all pages of a list; @name: its member; @cursor: "after", "before" or NULL. */
int sk_hub_list(struct sk_http_client *c, const char *path, const char *name, const char *cursor,
		json_t **ret, struct sk_err *err);

/** sk_hub_list_some() - the first @max rows of it, over as many pages as that takes. */
int sk_hub_list_some(struct sk_http_client *c, const char *path, const char *name,
		     const char *cursor, size_t max, json_t **ret, struct sk_err *err);

/** How a member is shown to people. */
enum sk_hub_form { SK_HUB_TEXT, SK_HUB_SHORT, SK_HUB_TIME, SK_HUB_AGO, SK_HUB_SIZE, SK_HUB_YESNO };
struct sk_hub_column {
	const char *heading;
	const char *key;
	enum sk_hub_form form;
};
#define SK_HUB_COLUMNS_MAX 12

/** Both steal; with --json they print the value as it is. @columns end with a NULL heading. */
void sk_hub_print_list(struct sk_cli *cli, json_t *steals, const struct sk_hub_column *columns);
void sk_hub_print_one(struct sk_cli *cli, json_t *steals, const struct sk_hub_column *columns);

/** sk_hub_text() - a member for people: no control letters, "-" for nothing. Owned by the caller. */
char *sk_hub_text(const json_t *obj, const struct sk_hub_column *column);

/** sk_hub_str() - a member that is text; "" where it is absent. Borrowed. */
const char *sk_hub_str(const json_t *obj, const char *key);

/** sk_hub_said() - one sentence for people, or the object with --json (stolen). */
void sk_hub_said(struct sk_cli *cli, json_t *steals, const char *fmt, ...) SK_PRINTF(3, 4);

/** sk_hub_place() - "PROJECT/NAME" apart; both owned by the caller. "usage" */
int sk_hub_place(const char *arg, const char *what, char **ret_project, char **ret_name,
		 struct sk_err *err);
/** sk_hub_find_release() - "PROJECT/VERSION" (or a prefix of the id): id, owned. */
int sk_hub_find_release(struct sk_http_client *c, const char *project, const char *version,
			char **ret_id, struct sk_err *err);
/** sk_hub_find_device() - id, prefix of it that is unique, or name: id, owned. */
int sk_hub_find_device(struct sk_http_client *c, const char *arg, char **ret_id,
		       struct sk_err *err);
/** sk_hub_password() - from @file, the variable @env, or a prompt without echo; owned. */
int sk_hub_password(const char *file, const char *env, const char *prompt, char **ret,
		    struct sk_err *err);
/** Wipes before it frees. */
void sk_hub_wipe(char **at);
#define _cleanup_secret_ _cleanup_(sk_hub_wipe)

/* The groups. */
extern const struct sk_cmd sk_hub_cmd_login, sk_hub_cmd_logout;
extern const struct sk_cmd sk_hub_cmd_org, sk_hub_cmd_user, sk_hub_cmd_token, sk_hub_cmd_audit;
extern const struct sk_cmd sk_hub_cmd_project, sk_hub_cmd_deployment;
extern const struct sk_cmd sk_hub_cmd_release, sk_hub_cmd_crl;
extern const struct sk_cmd sk_hub_cmd_device, sk_hub_cmd_job, sk_hub_cmd_logs;
