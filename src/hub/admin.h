/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "hub/core/config.h"

/*
 * What only the administrator of the machine does, with the database itself: making organisations
 * and getting back in. Works while the hub runs.
 */

/**
 * sk_admin_org_add() - an organisation and its first owner
 * @password_file: NULL: one for the first login is made and printed
 */
int sk_admin_org_add(const struct sk_hub_config *config, const char *org, const char *owner,
		     const char *password_file, struct sk_err *err);
int sk_admin_org_list(const struct sk_hub_config *config, struct sk_err *err);
int sk_admin_org_quota(const struct sk_hub_config *config, const char *org, const char *size,
		       struct sk_err *err);
/** sk_admin_password() - a new password for a user who lost his; ends his tokens. */
int sk_admin_password(const struct sk_hub_config *config, const char *org, const char *user,
		      const char *password_file, struct sk_err *err);
/** sk_admin_backup() - a copy of the database as it is now, while the hub runs. */
int sk_admin_backup(const struct sk_hub_config *config, const char *file, struct sk_err *err);
