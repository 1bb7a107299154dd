/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "hub/api/deployments.h"
#include "hub/api/devices.h"
#include "hub/api/routes.h"
#include "hub/db/jobs.h"
#include "hub/request/page.h"
#include "io/json.h"

static int run_list(struct sk_call *call, struct sk_job_filter *f, struct sk_err *err)
{
	json_t *list = NULL;
	struct sk_page p;
	int r = sk_call_page_before(call, SK_PAGE_MAX, &p, err);

	f->state = sk_http_query(call->req, "step");
	if (r == 0)
		r = call->db->jobs->list(call->db, call->who->org, f, &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "jobs", list, &p, err);
}

static int jobs_do_list(struct sk_call *call, struct sk_err *err)
{
	struct sk_job_filter f = { 0 };

	return run_list(call, &f, err);
}

static int jobs_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, jobs_do_list, err);
}

static int do_list_device(struct sk_call *call, struct sk_err *err)
{
	struct sk_job_filter f = { 0 };
	struct sk_device d;
	int r = sk_call_device(call, &d, err);

	f.device = d.id;
	return r < 0 ? r : run_list(call, &f, err);
}

static int list_device(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, do_list_device, err);
}

/* Those of the present roll-out. */
static int do_list_deployment(struct sk_call *call, struct sk_err *err)
{
	struct sk_job_filter f = { 0 };
	struct sk_deployment d;
	int r = sk_call_deployment(call, &d, err);

	f.deployment = d.id;
	f.rollout = d.rollout;
	return r < 0 ? r : run_list(call, &f, err);
}

static int list_deployment(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, do_list_deployment, err);
}

static int jobs_find(struct sk_call *call, struct sk_job *ret, struct sk_err *err)
{
	const char *id = sk_http_param(call->req, "job");
	int r = call->db->jobs->find(call->db, call->who->org, id, ret, err);

	sk_call_object(call, "%s", id);
	return r == 0 ? sk_call_none("job", id, err) : SK_MIN(r, 0);
}

static int jobs_do_show(struct sk_call *call, struct sk_err *err)
{
	struct sk_job j;
	int r = jobs_find(call, &j, err);

	return r < 0 ? r : call->db->jobs->show(call->db, j.org, j.id, &call->answer, err);
}

static int jobs_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, jobs_do_show, err);
}

static int jobs_do_abort(struct sk_call *call, struct sk_err *err)
{
	struct sk_job j;
	int r = jobs_find(call, &j, err);

	if (r < 0)
		return r;
	if (!j.open)
		return sk_err_set(err, -EBUSY, "bad-state", "the job has ended: %s", j.state);
	(void)snprintf(j.state, sizeof(j.state), "aborted");
	j.open = false;
	r = call->db->jobs->save(call->db, &j, "taken back by a user", true, err);
	return r < 0 ? r : call->db->jobs->show(call->db, j.org, j.id, &call->answer, err);
}

static int abort_job(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "job.abort", jobs_do_abort, err);
}

const struct sk_http_route sk_api_job_routes[] = {
	{ "GET", "/api/v1/jobs", jobs_list, 0, NULL, 0 },
	{ "GET", "/api/v1/jobs/{job}", jobs_show, 0, NULL, 0 },
	{ "POST", "/api/v1/jobs/{job}/abort", abort_job, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "GET", "/api/v1/devices/{device}/jobs", list_device, 0, NULL, 0 },
	{ "GET", "/api/v1/projects/{project}/deployments/{deployment}/jobs", list_deployment, 0,
	  NULL, 0 },
	{ 0 },
};
