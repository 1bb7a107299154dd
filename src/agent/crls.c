/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/crls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "io/json.h"

#define CRLS_MAX   32
#define CRL_MAX	   (1u << 20)
#define ISSUER_MAX 256
#define TIMEOUT_MS 60000

/** One root's list, at the hub or on the device. */
struct crl {
	struct sk_digest id; /* of the root */
	char issuer[ISSUER_MAX + 1];
	uint64_t number; /* 0: none */
	char refused[512];
};

struct crls {
	struct crl v[CRLS_MAX];
	size_t n;
};

static int parse_one(const json_t *j, struct crl *ret, struct sk_err *err)
{
	const char *issuer;
	int r = sk_json_need_digest(j, "issuer_id", &ret->id, err);

	*ret = (struct crl){ .id = ret->id };
	if (r < 0)
		return r;
	r = sk_json_need_str(j, "issuer", ISSUER_MAX, &issuer, err);
	if (r < 0)
		return r;
	r = sk_json_get_u64(j, "number", &ret->number, err);
	if (r < 0)
		return r;
	(void)snprintf(ret->issuer, sizeof(ret->issuer), "%s", issuer);
	return 0;
}

static int parse_crls(const json_t *answer, struct crls *ret, struct sk_err *err)
{
	const json_t *list = json_object_get(answer, "crls"), *j;
	size_t i;
	int r = 0;

	ret->n = 0;
	if (!json_is_array(list) || json_array_size(list) > CRLS_MAX)
		return sk_err_set(err, -EREMOTEIO, "bad-request",
				  "\"crls\" is no list, or too long a one");
	json_array_foreach (list, i, j) {
		if (r == 0)
			r = parse_one(j, &ret->v[ret->n++], err);
	}
	return r < 0 ? sk_err_set(err, -EREMOTEIO, "bad-request", "\"crls\" makes no sense") : 0;
}

static struct crl *find(struct crls *c, const struct sk_digest *id)
{
	for (size_t i = 0; i < c->n; i++)
		if (sk_digest_equal(&c->v[i].id, id))
			return &c->v[i];
	return NULL;
}

/* The failure is skerryd's: with its own code the caller would take the hub for away. */
static int device_failed(struct sk_err *err)
{
	(void)sk_err_prefix(err, "skerryd");
	err->code = -EIO;
	return -EIO;
}

static int ask_device(struct sk_device_link *device, struct crls *ret, struct sk_err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = sk_device_get(device, "/trust", &answer, err);

	if (r == 0)
		r = parse_crls(answer, ret, err);
	return r < 0 && r != -ENOENT ? device_failed(err) : r;
}

static int ask_hub(struct sk_hub_link *hub, struct crls *ret, uint64_t *ret_version,
		   struct sk_err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = sk_hub_json(hub, "GET", "/device/v1/crls", NULL, 0, &answer, err);

	*ret_version = 0;
	if (r == 0)
		r = sk_json_get_u64(answer, "version", ret_version, err);
	return r < 0 ? r : parse_crls(answer, ret, err);
}

/* One list, from the hub to skerryd; what skerryd refuses stands in @crl afterwards. */
static int carry(struct sk_hub_link *hub, struct sk_device_link *device, struct crl *crl,
		 struct sk_err *err)
{
	char path[32 + SK_DIGEST_HEX];
	_cleanup_http_call_ struct sk_http_call get =
		SK_HTTP_CALL(.method = "GET", .path = path, .answer_max = CRL_MAX,
			     .timeout_ms = TIMEOUT_MS);
	int r;

	(void)snprintf(path, sizeof(path), "/device/v1/crls/%s", SK_DIGEST_STR(&crl->id));
	r = sk_hub_call(hub, &get, err);
	if (r == 0) {
		r = sk_device_put_crl(device, get.answer.data, get.answer.len, err);
		if (r < 0 && !sk_device_refused(r, err))
			return device_failed(err);
	}
	if (r >= 0 || !(sk_device_refused(r, err) || sk_hub_is_final(r)))
		return SK_MIN(r, 0);
	sk_warning("the hub's revocation list of %s was not taken: %s", crl->issuer, err->text);
	(void)snprintf(crl->refused, sizeof(crl->refused), "%.511s", err->text);
	sk_utf8_repair(crl->refused);
	return 0;
}

static int carry_newer(struct sk_hub_link *hub, struct sk_device_link *device, struct crls *offer,
		       struct crls *have, struct sk_err *err)
{
	for (size_t i = 0; i < offer->n; i++) {
		const struct crl *own = find(have, &offer->v[i].id);
		int r;

		if (own && own->number >= offer->v[i].number)
			continue;
		r = carry(hub, device, &offer->v[i], err);
		if (r < 0)
			return r;
	}
	return ask_device(device, have, err);
}

static int add_row(json_t *list, const struct crl *crl, const char *refused)
{
	return json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s?}", "issuer", crl->issuer,
						     "issuer_id", SK_DIGEST_STR(&crl->id), "number",
						     (json_int_t)crl->number, "refused",
						     refused && *refused ? refused : NULL));
}

/* The lists that skerryd has, then the roots of which it has none and took none. */
static int report(struct sk_hub_link *hub, uint64_t version, struct crls *offer, struct crls *have,
		  struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;
	json_t *list = json_array();
	int r = list ? 0 : -1;

	for (size_t i = 0; r == 0 && i < have->n; i++) {
		const struct crl *offered = find(offer, &have->v[i].id);

		r = add_row(list, &have->v[i], offered ? offered->refused : NULL);
	}
	for (size_t i = 0; r == 0 && i < offer->n; i++) {
		struct crl none = offer->v[i];

		none.number = 0;
		if (!find(have, &none.id) && json_array_size(list) < CRLS_MAX)
			r = add_row(list, &none, none.refused);
	}
	body = json_pack("{s:I, s:o}", "version", (json_int_t)version, "crls", list);
	if (r < 0 || !body)
		return sk_err_oom(err);
	return sk_hub_json(hub, "PUT", "/device/v1/crls", body, 0, NULL, err);
}

int sk_crls_sync(struct sk_hub_link *hub, struct sk_device_link *device, struct sk_err *err)
{
	_cleanup_free_ struct crls *offer = calloc(1, sizeof(*offer));
	_cleanup_free_ struct crls *have = calloc(1, sizeof(*have));
	uint64_t version = 0;
	int r;

	if (!offer || !have)
		return sk_err_oom(err);
	r = ask_device(device, have, err);
	if (r == 0)
		r = ask_hub(hub, offer, &version, err);
	if (r == 0)
		r = carry_newer(hub, device, offer, have, err);
	if (r == 0 && (version > 0 || have->n > 0))
		r = report(hub, version, offer, have, err);
	return r == -ENOENT ? 0 : r;
}
