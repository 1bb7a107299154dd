/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/str.h"
#include "engine/api/handlers.h"

int sk_api_digest_param(struct sk_http_req *req, const char *name, struct sk_digest *ret,
			struct sk_err *err)
{
	const char *hex = sk_http_param(req, name);

	if (hex && sk_digest_parse(hex, ret) == 0)
		return 0;
	return sk_err_set(err, -EINVAL, "bad-request", "\"%s\" is not a digest: 64 hex digits",
			  hex ?: "");
}

int sk_api_number_query(struct sk_http_req *req, const char *name, uint64_t *ret,
			struct sk_err *err)
{
	const char *s = sk_http_query(req, name);

	if (s && sk_parse_u64(s, ret) < 0)
		return sk_err_set(err, -EINVAL, "bad-request", "%s=%s is not a number", name, s);
	return 0;
}
