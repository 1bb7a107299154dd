/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

/*
 * jansson with bounds and with errors that name the key. Getters return 0 or "bad-request"; one whose
 * key is absent (or null) leaves *ret as the caller has set it, unless it says otherwise.
 */

#define _cleanup_json_ _cleanup_(sk_json_decrefp)
static inline void sk_json_decrefp(json_t **j)
{
	json_decref(*j);
}

/** sk_json_parse() - one value, nothing after it; nesting at most 32; duplicate keys refused. */
int sk_json_parse(const char *text, size_t len, json_t **ret, struct sk_err *err);

/** Borrowed string; absent or null: *ret = NULL. */
int sk_json_get_str(const json_t *obj, const char *key, const char **ret, struct sk_err *err);
/** Present, a string, not empty, at most @max bytes. */
int sk_json_need_str(const json_t *obj, const char *key, size_t max, const char **ret,
		     struct sk_err *err);
int sk_json_get_bool(const json_t *obj, const char *key, bool *ret, struct sk_err *err);
int sk_json_get_u64(const json_t *obj, const char *key, uint64_t *ret, struct sk_err *err);
/** Array of strings, each at most 4096 bytes, at most @max of them; absent: *ret = NULL. Owned. */
int sk_json_get_strv(const json_t *obj, const char *key, size_t max, char ***ret,
		     struct sk_err *err);
int sk_json_need_digest(const json_t *obj, const char *key, struct sk_digest *ret,
			struct sk_err *err);
/** Fails with the name of the first key of @obj that is not in @known (NULL-terminated). */
int sk_json_only(const json_t *obj, const char *const *known, struct sk_err *err);
json_t *sk_json_strv(char *const *v); /* new reference */
