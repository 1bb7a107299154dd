/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mend.h"

#include <errno.h>
#include <stdio.h>

#include "agent/transfer.h"
#include "base/log.h"
#include "base/str.h"
#include "io/json.h"
#include "model/release.h"

#define RELEASES_MAX 64

static bool is_given_up(const struct sk_mend *m, const struct sk_digest *d)
{
	for (unsigned i = 0; i < m->n_given_up; i++)
		if (sk_digest_equal(&m->given_up[i], d))
			return true;
	return false;
}

/* Beyond the bound they are only asked for more often. */
static void give_up(struct sk_mend *m, const struct sk_digest *d)
{
	if (m->n_given_up < SK_MEND_GIVEN_UP_MAX)
		m->given_up[m->n_given_up++] = *d;
}

/* Whether it is that one, skerryd tells; it would refuse whatever it cannot use. */
static int carry_release(struct sk_hub_link *hub, struct sk_device_link *device,
			 const struct sk_digest *id, struct sk_err *err)
{
	char path[32 + SK_DIGEST_HEX];
	_cleanup_http_call_ struct sk_http_call get =
		SK_HTTP_CALL(.method = "GET", .path = path, .answer_max = SK_RELEASE_FILE_MAX);
	_cleanup_json_ json_t *answer = NULL;
	struct sk_digest got;
	int r;

	(void)snprintf(path, sizeof(path), "/device/v1/releases/%s", SK_DIGEST_STR(id));
	r = sk_hub_call(hub, &get, err);
	if (r < 0)
		return r;
	r = sk_device_put_release(device, get.answer.data, get.answer.len, &answer, err);
	if (r == 0)
		r = sk_json_need_digest(answer, "id", &got, err);
	if (r == 0 && !sk_digest_equal(&got, id))
		r = sk_err_set(err, -EINVAL, "bad-release",
			       "the hub sent another release than it was asked for");
	return r < 0 && sk_device_refused(r, err) ? -EINVAL : r;
}

static void mend_release(struct sk_mend *m, struct sk_hub_link *hub, struct sk_device_link *device,
			 const struct sk_digest *id)
{
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (is_given_up(m, id))
		return;
	sk_notice("release file %s is damaged; fetching it again", SK_DIGEST_STR(id));
	r = carry_release(hub, device, id, &err);
	if (r < 0)
		sk_warning("release %s: %s", SK_DIGEST_STR(id), err.text);
	if (sk_hub_is_final(r))
		give_up(m, id);
}

static void mend_image(struct sk_mend *m, struct sk_hub_link *hub, struct sk_device_link *device,
		       const struct sk_digest *digest)
{
	struct sk_err err = SK_ERR_INIT;
	bool refused;
	int r;

	if (is_given_up(m, digest))
		return;
	sk_notice("image %s is damaged; fetching it again", SK_DIGEST_STR(digest));
	r = sk_transfer_image(hub, device, digest, NULL, NULL, &refused, &err);
	if (r < 0)
		sk_warning("image %s: %s", SK_DIGEST_STR(digest), err.text);
	/* Wrong bytes as well: a hub whose own copy is damaged would send them for ever. */
	if (r == -EBADMSG || sk_hub_is_final(r))
		give_up(m, digest);
}

static void mend_images(struct sk_mend *m, struct sk_hub_link *hub, struct sk_device_link *device,
			const json_t *missing)
{
	const json_t *j;
	size_t i;

	json_array_foreach (missing, i, j) {
		struct sk_device_image image;

		if (sk_device_image_parse(j, &image, NULL) < 0)
			return;
		mend_image(m, hub, device, &image.digest);
	}
}

/* Return: were there any? Then more may be missed now that skerryd knows what they name. */
static bool mend_releases(struct sk_mend *m, struct sk_hub_link *hub, struct sk_device_link *device,
			  const json_t *missing)
{
	const json_t *j;
	size_t i;

	json_array_foreach (missing, i, j) {
		struct sk_digest id;

		if (i == RELEASES_MAX || !json_is_string(j) ||
		    sk_digest_parse(json_string_value(j), &id) < 0)
			break;
		mend_release(m, hub, device, &id);
	}
	return json_array_size(missing) > 0;
}

void sk_mend(struct sk_mend *m, struct sk_hub_link *hub, struct sk_device_link *device)
{
	_cleanup_json_ json_t *status = NULL, *after = NULL;

	if (sk_device_get(device, "/status", &status, NULL) < 0)
		return;
	if (m->session != hub->sessions)
		*m = (struct sk_mend){ .session = hub->sessions };
	if (mend_releases(m, hub, device, json_object_get(status, "missing_releases")) &&
	    sk_device_get(device, "/status", &after, NULL) < 0)
		return;
	mend_images(m, hub, device, json_object_get(after ? after : status, "missing"));
}
