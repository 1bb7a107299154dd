/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "model/manifest.h"

/** Everything in a manifest, with its defaults filled in. New reference. */
json_t *sk_manifest_json(const struct sk_manifest *m);
/** What a person wants to know of it, on standard output. */
void sk_manifest_print(const struct sk_manifest *m);
