/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "hub/api/devices.h"
#include "hub/api/routes.h"
#include "hub/db/jobs.h"
#include "hub/db/reports.h"
#include "hub/request/page.h"
#include "hub/request/params.h"
#include "io/json.h"

#define OPEN_JOBS_MAX 32 /* of one device */
#define TAIL_MAX      10000
#define LOGS_PAGE     8 /* each text may have half a megabyte */

static int reports_do_inventory(struct sk_call *call, struct sk_err *err)
{
	struct sk_device d;
	int r = sk_call_device(call, &d, err);

	if (r < 0)
		return r;
	r = call->db->reports->inventory(call->db, d.id, &call->answer, err);
	if (r < 0)
		return r;
	if (!call->answer)
		return sk_err_set(err, -ENOENT, "not-found",
				  "the device has sent no inventory yet");
	return 0;
}

static int reports_inventory(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, reports_do_inventory, err);
}

static int reports_do_logs(struct sk_call *call, struct sk_err *err)
{
	struct sk_device d;
	json_t *list = NULL;
	struct sk_page p;
	int r = sk_call_page_before(call, LOGS_PAGE, &p, err);

	if (r < 0)
		return r;
	r = sk_call_device(call, &d, err);
	if (r < 0)
		return r;
	r = call->db->reports->list_logs(call->db, d.id, sk_http_query(call->req, "capsule"),
					 sk_http_query(call->req, "job"), &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "logs", list, &p, err);
}

static int reports_logs(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, reports_do_logs, err);
}

static int ask(struct sk_call *call, const char *kind, const char *params, struct sk_err *err)
{
	struct sk_device d;
	int64_t open = 0, job = 0;
	int r = sk_call_device(call, &d, err);

	if (r < 0)
		return r;
	if (!sk_streq(d.status, "accepted"))
		return sk_err_set(err, -EBUSY, "bad-state", "the device is %s", d.status);
	r = call->db->jobs->count_open(call->db, d.id, &open, err);
	if (r < 0)
		return r;
	if (open >= OPEN_JOBS_MAX)
		return sk_err_set(err, -EAGAIN, "too-many", "%d jobs wait for this device already",
				  (int)open);
	r = call->db->jobs->add(call->db,
				&(struct sk_job_new){ .org = d.org,
						      .device = d.id,
						      .kind = kind,
						      .params = params,
						      .by = call->by },
				&job, err);
	if (r < 0)
		return r;
	call->wake_device = d.id;
	call->status = 202;
	return call->db->jobs->show(call->db, d.org, job, &call->answer, err);
}

static int do_ask_inventory(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { NULL };
	int r = sk_json_only(call->body, known, err);

	return r < 0 ? r : ask(call, "inventory", NULL, err);
}

static int ask_inventory(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.ask-inventory", do_ask_inventory, err);
}

static int do_ask_logs(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "capsule", "tail", NULL };
	_cleanup_free_ char *params = NULL;
	_cleanup_json_ json_t *p = NULL;
	const char *capsule;
	uint64_t tail = 200;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "capsule", &capsule, err);
	if (r < 0)
		return r;
	r = sk_json_get_u64(call->body, "tail", &tail, err);
	if (r < 0)
		return r;
	if (tail < 1 || tail > TAIL_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "tail: 1 to %d lines", TAIL_MAX);
	p = json_pack("{s:s, s:I}", "capsule", capsule, "tail", (json_int_t)tail);
	params = p ? json_dumps(p, JSON_COMPACT) : NULL;
	return params ? ask(call, "logs", params, err) : sk_err_oom(err);
}

static int ask_logs(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.ask-logs", do_ask_logs, err);
}

#define PATH "/api/v1/devices/{device}"

const struct sk_http_route sk_api_report_routes[] = {
	{ "GET", PATH "/inventory", reports_inventory, 0, NULL, 0 },
	{ "POST", PATH "/inventory", ask_inventory, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "GET", PATH "/logs", reports_logs, 0, NULL, 0 },
	{ "POST", PATH "/logs", ask_logs, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ 0 },
};
