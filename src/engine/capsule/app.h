/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "model/manifest.h"

/*
 * An app as the engine keeps it: a copy of its own, which outlives the manifest that it came from.
 * The copy goes through JSON, the form of the capsule's record on disk.
 */

/** sk_app_to_json() - every field but @image; new reference. NULL without memory or when a string is not UTF-8. */
json_t *sk_app_to_json(const struct sk_app *app);

/** sk_app_from_json() - @ret is owned and ended with sk_app_done(). "bad-value", or "out-of-memory" */
int sk_app_from_json(const json_t *obj, struct sk_app *ret, struct sk_err *err);

/** Frees what sk_app_from_json() made; @image is not touched. */
void sk_app_done(struct sk_app *app);
