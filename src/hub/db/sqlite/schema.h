/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/** Number of the newest schema. */
int sk_schema_newest(void);

/**
 * sk_schema_migrate() - bring the database from any older schema to the newest
 * Each step is one transaction with the row in schema_version that says it was done, so a hub
 * that is killed half-way goes on from the last whole step.
 * Return: 0, or "not-supported" when a newer hub made the database, "io"
 */
int sk_schema_migrate(struct sk_conn *c, struct sk_err *err);

/** sk_schema_migrate_to() - for tests: stop at an older schema. */
int sk_schema_migrate_to(struct sk_conn *c, int version, struct sk_err *err);
