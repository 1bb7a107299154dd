/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/device.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "io/json.h"

#define PREFIX		   "/skerry/v1"
#define REQUEST_TIMEOUT_MS 60000

int sk_device_link_init(struct sk_device_link *d, const char *socket, struct sk_err *err)
{
	struct sk_http_client_config c = { .base_url = "http://skerry", .unix_socket = socket };

	*d = (struct sk_device_link){ .socket = strdup(socket) };
	if (!d->socket)
		return sk_err_oom(err);
	return sk_http_client_new(&c, &d->client, err);
}

void sk_device_link_done(struct sk_device_link *d)
{
	if (d->client)
		sk_http_client_free(d->client);
	free(d->socket);
	*d = (struct sk_device_link){ 0 };
}

int sk_device_get(struct sk_device_link *d, const char *path, json_t **ret, struct sk_err *err)
{
	_cleanup_free_ char *full = sk_asprintf(PREFIX "%s", path);

	if (!full)
		return sk_err_oom(err);
	return sk_http_call_json(d->client, "GET", full, NULL, ret, err);
}

int sk_device_put_release(struct sk_device_link *d, const void *skr, size_t len, json_t **ret,
			  struct sk_err *err)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "POST", .path = PREFIX "/releases", .data = skr, .len = len,
			     .timeout_ms = REQUEST_TIMEOUT_MS);
	int r = sk_http_call(d->client, &call, err);

	return r < 0 ? r : sk_json_parse(call.answer.data, call.answer.len, ret, err);
}

int sk_device_put_crl(struct sk_device_link *d, const void *crl, size_t len, struct sk_err *err)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "PUT", .path = PREFIX "/trust/crl", .data = crl ?: "",
			     .len = len, .answer_max = 4096, .timeout_ms = REQUEST_TIMEOUT_MS);
	_cleanup_json_ json_t *answer = NULL;
	bool changed = false;
	int r = sk_http_call(d->client, &call, err);

	if (r < 0)
		return r;
	r = sk_json_parse(call.answer.data, call.answer.len, &answer, err);
	if (r < 0)
		return r;
	r = sk_json_get_bool(answer, "changed", &changed, err);
	return r < 0 ? r : !changed;
}

int sk_device_apply(struct sk_device_link *d, const struct sk_digest *release,
		    uint64_t *ret_generation, struct sk_err *err)
{
	_cleanup_free_ char *path =
		sk_asprintf(PREFIX "/releases/%s/apply", SK_DIGEST_STR(release));
	_cleanup_json_ json_t *answer = NULL;
	int r;

	if (!path)
		return sk_err_oom(err);
	r = sk_http_call_json(d->client, "POST", path, NULL, &answer, err);
	return r < 0 ? r : sk_json_get_u64(answer, "generation", ret_generation, err);
}

int sk_device_image_parse(const json_t *j, struct sk_device_image *ret, struct sk_err *err)
{
	int r = sk_json_need_digest(j, "digest", &ret->digest, err);

	ret->size_bytes = ret->offset = 0;
	ret->have = false;
	if (r == 0)
		r = sk_json_get_u64(j, "size_bytes", &ret->size_bytes, err);
	if (r == 0)
		r = sk_json_get_u64(j, "offset", &ret->offset, err);
	if (r == 0)
		r = sk_json_get_bool(j, "have", &ret->have, err);
	if (r == 0 && ret->offset > ret->size_bytes)
		r = sk_err_set(err, -EINVAL, "bad-request", "offset beyond the image's size");
	return r;
}

int sk_device_image(struct sk_device_link *d, const struct sk_digest *digest,
		    struct sk_device_image *ret, struct sk_err *err)
{
	char path[32 + SK_DIGEST_HEX];
	_cleanup_json_ json_t *answer = NULL;
	int r;

	(void)snprintf(path, sizeof(path), "/images/%s", SK_DIGEST_STR(digest));
	r = sk_device_get(d, path, &answer, err);
	return r < 0 ? r : sk_device_image_parse(answer, ret, err);
}

static int parse_generation(const json_t *j, struct sk_digest *ret_release,
			    struct sk_device_generation *ret, struct sk_err *err)
{
	const char *state = NULL, *reason = NULL;
	int r = sk_json_get_u64(j, "generation", &ret->number, err);

	if (r < 0)
		return r;
	r = sk_json_need_digest(j, "release", ret_release, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(j, "state", sizeof(ret->state) - 1, &state, err);
	if (r < 0)
		return r;
	r = sk_json_get_str(j, "reason", &reason, err);
	if (r < 0)
		return r;
	(void)snprintf(ret->state, sizeof(ret->state), "%s", state);
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s", reason ?: "");
	return 0;
}

int sk_device_generation(struct sk_device_link *d, const struct sk_digest *release, uint64_t above,
			 struct sk_device_generation *ret, struct sk_err *err)
{
	_cleanup_json_ json_t *list = NULL;
	struct sk_device_generation g, found = { 0 };
	struct sk_digest id;
	size_t i;
	json_t *j;
	int r = sk_device_get(d, "/generations", &list, err);

	if (r < 0)
		return r;
	json_array_foreach (list, i, j) {
		r = parse_generation(j, &id, &g, err);
		if (r < 0)
			return r;
		if (sk_digest_equal(&id, release) && g.number > above && g.number > found.number)
			found = g;
	}
	*ret = found;
	return found.number ? 0 : sk_err_set(err, -ENOENT, "not-found", "no such generation");
}

int sk_device_last_generation(struct sk_device_link *d, uint64_t *ret, struct sk_err *err)
{
	_cleanup_json_ json_t *list = NULL;
	size_t i;
	json_t *j;
	int r = sk_device_get(d, "/generations", &list, err);

	*ret = 0;
	if (r < 0)
		return r;
	json_array_foreach (list, i, j) {
		uint64_t n = 0;

		r = sk_json_get_u64(j, "generation", &n, err);
		if (r < 0)
			return r;
		*ret = SK_MAX(*ret, n);
	}
	return 0;
}

bool sk_device_refused(int code, const struct sk_err *err)
{
	static const char *const final[] = {
		"bad-manifest", "bad-release",	 "bad-request", "downgrade", "expired",
		"no-space",	"not-supported", "revoked",	"too-large", "untrusted",
		"wrong-device", "not-found",	 "bad-image",	"bad-value",
	};

	if (code == -EHOSTUNREACH || code == -ETIMEDOUT)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(final); i++)
		if (sk_err_is(err, final[i]))
			return true;
	return false;
}
