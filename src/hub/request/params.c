/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/request/params.h"

#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/text.h"
#include "io/json.h"

int sk_call_name(const struct sk_call *call, const char *key, const char **ret, struct sk_err *err)
{
	int r = sk_json_need_str(call->body, key, SK_NAME_MAX, ret, err);

	if (r < 0)
		return r;
	if (!sk_name_ok(*ret))
		return sk_err_set(err, -EINVAL, "bad-name",
				  "%s: first a letter or digit, then letters, digits, '.', '_', "
				  "'-'",
				  key);
	return 0;
}

int sk_call_query_u64(struct sk_call *call, const char *key, uint64_t *ret, struct sk_err *err)
{
	const char *s = sk_http_query(call->req, key);

	*ret = 0;
	if (!s)
		return 0;
	if (sk_parse_u64(s, ret) < 0 || *ret > INT64_MAX)
		return sk_err_set(err, -EINVAL, "bad-request", "%s is not a number", key);
	return 0;
}

int sk_call_expiry(const struct sk_call *call, uint64_t default_s, uint64_t max_s, int64_t *ret_s,
		   struct sk_err *err)
{
	uint64_t s = default_s;
	int r = sk_json_get_u64(call->body, "expires_in_s", &s, err);

	if (r < 0)
		return r;
	if (s == 0 || s > max_s)
		return sk_err_set(err, -EINVAL, "bad-value", "expires_in_s: 1 to %" PRIu64, max_s);
	*ret_s = sk_wall_s() + (int64_t)s;
	return 0;
}
