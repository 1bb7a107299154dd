/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/repair.h"

#include <errno.h>
#include <stdio.h>

#include "agent/transfer.h"
#include "base/log.h"
#include "base/str.h"
#include "io/json.h"
#include "model/release.h"

#define RELEASES_MAX 64

static bool has_given_up(const struct sk_repair *m, const struct sk_digest *d)
{
	for (unsigned i = 0; i < m->n_given_up; i++)
		if (sk_digest_equal(&m->given_up[i], d))
			return true;
	return false;
}

/* One that does not fit any more is asked for again at the next call, not in the next session. */
static void give_up(struct sk_repair *m, const struct sk_digest *d)
{
	if (m->n_given_up < SK_REPAIR_GIVEN_UP_MAX)
		m->given_up[m->n_given_up++] = *d;
}

/* skerryd names the release that it took, and refuses what it cannot use: nothing of it is checked here. */
static int refetch_release(struct sk_hub_link *hub, struct sk_device_link *device,
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

static void repair_release(struct sk_repair *m, struct sk_hub_link *hub,
			   struct sk_device_link *device, const struct sk_digest *id)
{
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (has_given_up(m, id))
		return;
	sk_notice("release file %s is damaged; fetching it again", SK_DIGEST_STR(id));
	r = refetch_release(hub, device, id, &err);
	if (r < 0)
		sk_warning("release %s: %s", SK_DIGEST_STR(id), err.text);
	if (sk_hub_is_final(r))
		give_up(m, id);
}

static void repair_image(struct sk_repair *m, struct sk_hub_link *hub,
			 struct sk_device_link *device, const struct sk_digest *digest)
{
	struct sk_err err = SK_ERR_INIT;
	bool refused;
	int r;

	if (has_given_up(m, digest))
		return;
	sk_notice("image %s is damaged; fetching it again", SK_DIGEST_STR(digest));
	r = sk_transfer_image(hub, device, digest, NULL, NULL, &refused, &err);
	if (r < 0)
		sk_warning("image %s: %s", SK_DIGEST_STR(digest), err.text);
	/* A hub whose own copy is damaged sends the wrong bytes each time: it is not asked again either. */
	if (r == -EBADMSG || sk_hub_is_final(r))
		give_up(m, digest);
}

static void repair_images(struct sk_repair *m, struct sk_hub_link *hub,
			  struct sk_device_link *device, const json_t *missing)
{
	const json_t *j;
	size_t i;

	json_array_foreach (missing, i, j) {
		struct sk_device_image image;

		if (sk_device_image_parse(j, &image, NULL) < 0)
			return;
		repair_image(m, hub, device, &image.digest);
	}
}

/* Return: true when there were any: skerryd may miss images now that it could not name without them. */
static bool repair_releases(struct sk_repair *m, struct sk_hub_link *hub,
			    struct sk_device_link *device, const json_t *missing)
{
	const json_t *j;
	size_t i;

	json_array_foreach (missing, i, j) {
		struct sk_digest id;

		if (i == RELEASES_MAX || !json_is_string(j) ||
		    sk_digest_parse(json_string_value(j), &id) < 0)
			break;
		repair_release(m, hub, device, &id);
	}
	return json_array_size(missing) > 0;
}

void sk_repair(struct sk_repair *m, struct sk_hub_link *hub, struct sk_device_link *device)
{
	_cleanup_json_ json_t *status = NULL, *after = NULL;

	if (sk_device_get(device, "/status", &status, NULL) < 0)
		return;
	if (m->session != hub->sessions)
		*m = (struct sk_repair){ .session = hub->sessions };
	if (repair_releases(m, hub, device, json_object_get(status, "missing_releases")) &&
	    sk_device_get(device, "/status", &after, NULL) < 0)
		return;
	repair_images(m, hub, device, json_object_get(after ? after : status, "missing"));
}
