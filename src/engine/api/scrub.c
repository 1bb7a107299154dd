/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/api/handlers.h"
#include "io/json.h"

static json_t *count_json(uint64_t checked, char *const *damaged)
{
	return json_pack("{s:I, s:o}", "checked", (json_int_t)checked, "damaged",
			 sk_json_strv(damaged));
}

/* Few and small, and what is damaged of them is known here: done in the daemon itself. */
static json_t *records_json(const struct sk_api *api)
{
	_cleanup_strv_ char **damaged = NULL;
	struct sk_err err = SK_ERR_INIT;
	int n = sk_update_verify_records(api->update, &damaged, &err);

	if (n < 0)
		sk_error("the records of generations: %s", err.text);
	SK_STRV_FOREACH (name, damaged)
		sk_warning("record %s is damaged", *name);
	return count_json(n < 0 ? 0 : (uint64_t)n, damaged);
}

static json_t *report_json(const struct sk_api *api, const struct sk_scrub_report *report)
{
	json_t *j = count_json(report->images, report->damaged_images);

	if (!j)
		return NULL;
	if (json_object_set_new(j, "releases",
				count_json(report->releases, report->damaged_releases)) == 0 &&
	    json_object_set_new(j, "records", records_json(api)) == 0)
		return j;
	json_decref(j);
	return NULL;
}

static void scrub_answer(void *arg, const struct sk_scrub_report *report, const struct sk_err *err)
{
	struct sk_api *api = arg;
	struct sk_http_req *req = TAKE_PTR(api->scrub_req);
	json_t *answer = report ? report_json(api, report) : NULL;

	sk_scrub_free(TAKE_PTR(api->scrub));
	if (!req)
		json_decref(answer);
	else if (report)
		(void)sk_http_reply_json(req, 200, answer);
	else
		(void)sk_http_reply_err(req, err);
}

static void scrub_left(struct sk_http_req *req, void *arg)
{
	struct sk_api *api = arg;

	api->scrub_req = NULL;
}

int sk_api_scrub(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_api *api = arg;
	int r;

	if (api->scrub)
		return sk_err_set(err, -EBUSY, "in-use", "the store is being checked already");
	r = sk_scrub_start(api->event, api->store, scrub_answer, api, &api->scrub, err);
	if (r < 0)
		return r;
	/* A child ends in the loop, which is not running now: nothing is lost between. */
	r = sk_http_suspend(req, UINT64_MAX, scrub_left, api);
	if (r == 0)
		api->scrub_req = req;
	return r;
}
