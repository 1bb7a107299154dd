/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hub/db/devices.h"
#include "hub/db/jobs.h"
#include "hub/db/releases.h"
#include "hub/db/reports.h"
#include "hub/device/body.h"
#include "hub/device/poll.h"
#include "hub/device/routes.h"
#include "hub/domain/job.h"
#include "hub/request/call.h"
#include "hub/request/params.h"
#include "io/json.h"

#define INVENTORY_MAX (256 * 1024)
#define LOG_TEXT_MAX  (512 * 1024)
#define LOG_BODY_MAX  (6 * LOG_TEXT_MAX + 4096) /* JSON writes some bytes as six */

static int read_wait(struct sk_call *call, uint64_t *ret_until_ms, struct sk_err *err)
{
	uint64_t wait_s;
	int r = sk_call_query_u64(call, "wait", &wait_s, err);

	wait_s = SK_MIN(wait_s, (uint64_t)call->hub->config.poll_max_s);
	*ret_until_ms = wait_s ? sk_mono_ms() + wait_s * 1000 : 0;
	return r;
}

static int next_job(struct sk_call *call, json_t **ret, struct sk_err *err)
{
	int r = sk_db_read(call->hub->db, &call->db, err);

	if (r < 0)
		return r;
	return call->db->jobs->next(call->db, call->who->device, sk_http_query(call->req, "except"),
				    ret, err);
}

/* 0 it waits; 1 the database changed since the device was authenticated; or a failure. */
static int wait_for_work(struct sk_call *call, uint64_t until_ms, struct sk_err *err)
{
	const struct sk_principal *p = call->who;

	return sk_waiters_add(call->hub->waiters,
			      &(struct sk_poll){ .ops = &sk_device_poll,
						 .poll = call->req,
						 .who = { p->org, p->deployment, p->device },
						 .until_ms = until_ms },
			      p->epoch, err);
}

/*
 * The path that thousands of devices walk all the time: one look-up, nothing written. When the
 * database changed since the device was authenticated, the poll ends: the next one sees it all.
 */
static int work(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_hub *hub = arg;
	struct sk_call call = { .hub = hub, .req = req, .who = sk_http_user(req) };
	json_t *job = NULL;
	uint64_t until_ms = 0;
	int r = read_wait(&call, &until_ms, err);

	if (r < 0)
		return r;
	if (call.who->crls_due) /* before any job: a list may revoke who signed its release */
		return sk_http_reply_json(req, 200, sk_device_poll_crls());
	if (call.who->has_work) {
		r = next_job(&call, &job, err);
		if (r < 0)
			return r;
	}
	if (job)
		return sk_http_reply_json(req, 200, json_pack("{s:o}", "job", job));
	if (until_ms > 0) {
		r = wait_for_work(&call, until_ms, err);
		if (r <= 0)
			return r;
	}
	return sk_http_reply_empty(req, 204);
}

static int reply_blob(struct sk_http_req *req, struct sk_blobs *blobs, int64_t org, const char *hex,
		      const char *type, struct sk_err *err)
{
	struct sk_blob_key key = { .org = org };
	int fd = -1, r = sk_digest_parse(hex, &key.digest);

	if (r < 0)
		return sk_call_none("file", hex, err);
	r = sk_blob_open(blobs, &key, &fd, err);
	if (r < 0)
		return r;
	return sk_http_reply_fd(req, fd, type, hex) < 0 ? sk_err_oom(err) : 0;
}

/* For a job that was taken back the answer says why: the device shows it to its owner. */
static int not_for_device(struct sk_conn *c, int64_t device, const char *what, const char *id,
			  struct sk_err *err)
{
	_cleanup_free_ char *reason = NULL;
	int r = c->jobs->revoked_reason(c, device, id, &reason, err);

	if (r > 0)
		return sk_err_set(err, -ENOENT, "not-found",
				  "the job with %s %.12s was taken back: %s", what, id, reason);
	return r < 0 ? r : sk_call_none(what, id, err);
}

static int release(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_hub *hub = arg;
	const struct sk_principal *p = sk_http_user(req);
	const char *id = sk_http_param(req, "release");
	_cleanup_read_ struct sk_conn *c = NULL;
	struct sk_release_row row;
	int r = sk_db_begin_read(hub->db, &c, err);

	if (r == 0)
		r = c->releases->of_device(c, p->device, id, &row, err);
	if (r <= 0)
		return r < 0 ? r : not_for_device(c, p->device, "release", id, err);
	return reply_blob(req, hub->files, p->org, row.file_digest, "application/pkcs7-mime", err);
}

static int image(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_hub *hub = arg;
	const struct sk_principal *p = sk_http_user(req);
	const char *hex = sk_http_param(req, "digest");
	_cleanup_read_ struct sk_conn *c = NULL;
	int r = sk_db_begin_read(hub->db, &c, err);

	if (r == 0)
		r = c->releases->image_of_device(c, p->device, hex, err);
	if (r <= 0)
		return r < 0 ? r : not_for_device(c, p->device, "image", hex, err);
	return reply_blob(req, hub->images, p->org, hex, "application/octet-stream", err);
}

static int apply_report(struct sk_call *call, struct sk_job *j, const struct sk_report *rep,
			struct sk_err *err)
{
	enum sk_job_state now = SK_JOB_WAITING;
	enum sk_job_change change;
	int r;

	(void)sk_job_state_parse(j->state, &now);
	change = sk_job_report(now, rep->step);
	if (change == SK_JOB_IGNORE)
		return 0;
	if (change == SK_JOB_NOTE)
		return call->db->jobs->add_event(call->db, j, sk_job_state_name(rep->step),
						 rep->reason, err);
	(void)snprintf(j->state, sizeof(j->state), "%s", sk_job_state_name(rep->step));
	j->open = sk_job_open(rep->step);
	j->bytes_total = rep->total ? rep->total : j->bytes_total;
	j->bytes_done = SK_MAX(j->bytes_done, rep->done);
	r = call->db->jobs->save(call->db, j, rep->reason, change == SK_JOB_MOVE, err);
	if (r < 0)
		return r;
	if (rep->step == SK_JOB_DONE && sk_streq(j->kind, "release"))
		r = call->db->devices->set_release(call->db, j->device, j->release, j->version,
						   err);
	return r;
}

static int do_report(struct sk_call *call, struct sk_err *err)
{
	const char *id = sk_http_param(call->req, "job");
	struct sk_report rep = { 0 };
	struct sk_job j;
	int r = sk_report_read(call->body, &rep, err);

	if (r == 0)
		r = call->db->jobs->of_device(call->db, call->who->device, id, &j, err);
	else
		return r;
	if (r <= 0)
		return r < 0 ? r : sk_call_none("job", id, err);
	return apply_report(call, &j, &rep, err);
}

static int report(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, NULL, do_report, err);
}

static int work_do_inventory(struct sk_call *call, struct sk_err *err)
{
	_cleanup_free_ char *text = json_dumps(call->body, JSON_COMPACT);

	return text ? call->db->reports->set_inventory(call->db, call->who->device, text, err)
		    : sk_err_oom(err);
}

static int work_inventory(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, NULL, work_do_inventory, err);
}

static int finish_logs_job(struct sk_call *call, const char *id, struct sk_err *err)
{
	struct sk_report rep = { .step = SK_JOB_DONE };
	struct sk_job j;
	int r = call->db->jobs->of_device(call->db, call->who->device, id, &j, err);

	if (r == 0 || (r > 0 && !sk_streq(j.kind, "logs")))
		return sk_call_none("job", id, err);
	return r < 0 ? r : apply_report(call, &j, &rep, err);
}

static int work_do_logs(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "capsule", "job", "text", NULL };
	const char *capsule, *job = NULL, *text = NULL;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "capsule", &capsule, err);
	if (r < 0)
		return r;
	r = sk_json_get_str(call->body, "job", &job, err);
	if (r < 0)
		return r;
	r = sk_json_get_str(call->body, "text", &text, err);
	if (r < 0)
		return r;
	if ((!text || strlen(text) > LOG_TEXT_MAX))
		return sk_err_set(err, -EINVAL, "bad-value", "text: needed, at most %d bytes",
				  LOG_TEXT_MAX);
	if (job)
		r = finish_logs_job(call, job, err);
	if (r < 0)
		return r;
	return call->db->reports->add_logs(call->db, call->who->device, job, capsule, text, err);
}

static int work_logs(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, NULL, work_do_logs, err);
}

const struct sk_http_route sk_device_work_routes[] = {
	{ "GET", "/device/v1/work", work, 0, NULL, SK_HUB_DEVICE },
	{ "GET", "/device/v1/releases/{release}", release, 0, NULL, SK_HUB_DEVICE },
	{ "GET", "/device/v1/images/{digest}", image, 0, NULL, SK_HUB_DEVICE },
	{ "POST", "/device/v1/jobs/{job}/report", report, SK_HUB_BODY_MAX, NULL, SK_HUB_DEVICE },
	{ "PUT", "/device/v1/inventory", work_inventory, INVENTORY_MAX, NULL, SK_HUB_DEVICE },
	{ "POST", "/device/v1/logs", work_logs, LOG_BODY_MAX, NULL, SK_HUB_DEVICE },
	{ 0 },
};
