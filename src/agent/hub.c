/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hub.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "io/json.h"

#define REQUEST_TIMEOUT_MS 30000
#define ANSWER_MAX	   (256u << 10)
#define CHALLENGE_MAX	   256u
#define TOKEN_MAX	   1024u
#define SESSION_MAX_S	   86400u

int sk_hub_link_init(struct sk_hub_link *h, const struct sk_agent_config *config,
		     const struct sk_identity *identity, struct sk_err *err)
{
	struct sk_http_client_config c = { .base_url = config->hub, .ca_file = config->ca_file };

	*h = (struct sk_hub_link){ .config = config, .identity = identity };
	return sk_http_client_new(&c, &h->client, err);
}

void sk_hub_link_done(struct sk_hub_link *h)
{
	if (h->client)
		sk_http_client_free(h->client);
	h->client = NULL;
}

static void drop_session(struct sk_hub_link *h)
{
	h->session = false;
	(void)sk_http_client_set_bearer(h->client, NULL);
}

/* A hub never redirects: an answer that is neither success nor failure comes from something else. */
static int call_hub(struct sk_hub_link *h, struct sk_http_call *call, struct sk_err *err)
{
	int r = sk_http_call(h->client, call, err);

	if (r == 0 && call->status / 100 != 2)
		return sk_err_set(err, -EREMOTEIO, "bad-request", "the hub answered %ld to %s %s",
				  call->status, call->method, call->path);
	return r;
}

static int json_call(struct sk_hub_link *h, struct sk_http_call *call, json_t **ret,
		     struct sk_err *err)
{
	int r = call_hub(h, call, err);

	if (r < 0 || !ret || call->answer.len == 0)
		return r;
	r = sk_json_parse(call->answer.data, call->answer.len, ret, err);
	if (r == 0 && !json_is_object(*ret)) {
		json_decref(TAKE_PTR(*ret));
		r = sk_err_set(err, -EBADMSG, "bad-request", "not an object");
	}
	/* Not its own mistake: to be tried again. */
	return r < 0 ? sk_err_set(err, -EREMOTEIO, "bad-request",
				  "the hub answered %s with nonsense", call->path)
		     : 0;
}

static int post(struct sk_hub_link *h, const char *path, json_t *body, json_t **ret,
		long *ret_status, struct sk_err *err)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "POST", .path = path, .json = body, .answer_max = ANSWER_MAX,
			     .timeout_ms = REQUEST_TIMEOUT_MS);
	int r = json_call(h, &call, ret, err);

	if (ret_status)
		*ret_status = call.status;
	return r;
}

/* A fresh challenge, signed: {"challenge", "signature"} and whatever else the request needs. */
static int prove(struct sk_hub_link *h, const char *purpose, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_free_ char *signature = NULL;
	const char *challenge;
	int r = post(h, "/device/v1/challenge", NULL, &answer, NULL, err);

	if (r == 0)
		r = sk_json_need_str(answer, "challenge", CHALLENGE_MAX, &challenge, err);
	if (r < 0)
		return r;
	signature = sk_identity_sign(h->identity, purpose, challenge);
	*ret = signature ? json_pack("{s:s, s:s}", "challenge", challenge, "signature", signature)
			 : NULL;
	return *ret ? 0 : sk_err_oom(err);
}

static int put_optional(json_t *body, const char *key, const char *value)
{
	return value ? json_object_set_new(body, key, json_string(value)) : 0;
}

static int enrol(struct sk_hub_link *h, struct sk_err *err)
{
	const struct sk_agent_config *c = h->config;
	_cleanup_json_ json_t *body = NULL, *answer = NULL;
	const char *status = NULL;
	int r = prove(h, "skerry-enrol", &body, err);

	if (r < 0)
		return r;
	if (put_optional(body, "public_key", sk_identity_public(h->identity)) < 0 ||
	    put_optional(body, "name", c->name) < 0 ||
	    put_optional(body, "organisation", c->organisation) < 0 ||
	    put_optional(body, "token", c->token) < 0 ||
	    json_object_set_new(body, "compatible", sk_json_strv(c->compatible)) < 0)
		return sk_err_oom(err);
	r = post(h, "/device/v1/enrol", body, &answer, NULL, err);
	if (r == 0)
		r = sk_json_need_str(answer, "status", 32, &status, err);
	if (r < 0)
		return r;
	if (sk_streq(status, "accepted"))
		return 0;
	if (!h->pending)
		sk_notice("device %s waits to be accepted at %s", sk_identity_id(h->identity),
			  c->hub);
	h->pending = true;
	return sk_err_set(err, -EINPROGRESS, "forbidden",
			  "the device is not accepted yet; an owner does that: "
			  "skerry hub device accept %s",
			  sk_identity_id(h->identity));
}

static uint32_t random_below(uint32_t bound)
{
	uint32_t n = 0;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) < 0)
		n = (uint32_t)sk_mono_us();
	return n % bound;
}

static int open_session(struct sk_hub_link *h, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL, *answer = NULL;
	uint64_t lasts_s = 0;
	const char *token;
	int r = prove(h, "skerry-session", &body, err);

	if (r < 0)
		return r;
	if (put_optional(body, "device_id", sk_identity_id(h->identity)) < 0)
		return sk_err_oom(err);
	r = post(h, "/device/v1/session", body, &answer, NULL, err);
	if (r == 0)
		r = sk_json_need_str(answer, "token", TOKEN_MAX, &token, err);
	if (r == 0)
		r = sk_json_get_u64(answer, "expires_in_s", &lasts_s, err);
	if (r == 0 && sk_http_client_set_bearer(h->client, token) < 0)
		r = sk_err_set(err, -EREMOTEIO, "bad-request", "the hub sent a malformed token");
	if (r < 0)
		return r;
	lasts_s = SK_MIN(lasts_s ?: 60, (uint64_t)SESSION_MAX_S);
	/* Renewed when some three quarters are over: never in the middle of things, and not by a
	 * whole fleet in the same second. */
	h->session_ends_ms = sk_mono_ms() + lasts_s * (700 + random_below(101));
	h->session = true;
	h->sessions++;
	if (h->pending)
		sk_notice("the device was accepted");
	h->pending = false;
	return 0;
}

int sk_hub_session(struct sk_hub_link *h, struct sk_err *err)
{
	int r;

	if (h->session && sk_mono_ms() < h->session_ends_ms)
		return 0;
	drop_session(h);
	r = open_session(h, err);
	if (r != -EACCES && r != -ENOENT)
		return r;
	/* The hub does not know the device, or has not accepted it: enrol, also again. */
	r = enrol(h, err);
	return r < 0 ? r : open_session(h, err);
}

int sk_hub_call(struct sk_hub_link *h, struct sk_http_call *call, struct sk_err *err)
{
	int r = call_hub(h, call, err);

	if (call->status == 401)
		drop_session(h);
	return r;
}

int sk_hub_json(struct sk_hub_link *h, const char *method, const char *path, json_t *body,
		uint64_t timeout_ms, json_t **ret, struct sk_err *err)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = method, .path = path, .json = body, .answer_max = ANSWER_MAX,
			     .timeout_ms = timeout_ms ? timeout_ms : REQUEST_TIMEOUT_MS);
	int r = json_call(h, &call, ret, err);

	if (call.status == 401)
		drop_session(h);
	return r;
}

bool sk_hub_is_away(int code)
{
	return code == -EHOSTUNREACH || code == -ETIMEDOUT || code == -EKEYREJECTED ||
	       code == -EACCES;
}

bool sk_hub_is_final(int code)
{
	return code == -ENOENT || code == -EINVAL || code == -EFBIG || code == -EOPNOTSUPP;
}
