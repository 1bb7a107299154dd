/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "base/str.h"
#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes: parse, then ask for every kind of value under keys that an input may hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = { "a", "b", NULL };
	_cleanup_json_ json_t *v = NULL, *back = NULL;
	_cleanup_strv_ char **strv = NULL;
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest digest;
	const char *s;
	uint64_t n;
	bool b;

	if (sk_json_parse((const char *)data, size, &v, &err) < 0)
		return 0;
	(void)sk_json_only(v, known, &err);
	(void)sk_json_get_str(v, "a", &s, &err);
	(void)sk_json_need_str(v, "a", 16, &s, &err);
	(void)sk_json_get_bool(v, "a", &b, &err);
	(void)sk_json_get_u64(v, "a", &n, &err);
	(void)sk_json_need_digest(v, "a", &digest, &err);
	if (sk_json_get_strv(v, "b", 8, &strv, &err) == 0)
		back = sk_json_strv(strv);
	return 0;
}
