/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/api/deployments.h"

#include <errno.h>

#include "hub/api/routes.h"
#include "hub/db/deployments.h"
#include "hub/db/jobs.h"
#include "hub/db/projects.h"
#include "hub/db/releases.h"
#include "hub/domain/rollout.h"
#include "hub/request/page.h"
#include "hub/request/params.h"
#include "io/json.h"

int sk_call_deployment(struct sk_call *call, struct sk_deployment *ret, struct sk_err *err)
{
	const char *project = sk_http_param(call->req, "project");
	const char *name = sk_http_param(call->req, "deployment");
	int r = call->db->deployments->find(call->db, call->who->org, project, name, ret, err);

	sk_call_object(call, "%s/%s", project, name);
	return r == 0 ? sk_call_none("deployment", call->object, err) : SK_MIN(r, 0);
}

static int deployments_do_list(struct sk_call *call, struct sk_err *err)
{
	const char *project = sk_http_param(call->req, "project");
	json_t *list = NULL;
	struct sk_page p;
	int64_t id = 0;
	int r = project ? call->db->projects->find(call->db, call->who->org, project, &id, err) : 1;

	if (r <= 0)
		return r < 0 ? r : sk_call_none("project", project, err);
	r = sk_call_page_after(call, SK_PAGE_MAX, &p, err);
	if (r < 0)
		return r;
	r = call->db->deployments->list(call->db, call->who->org, id, &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "deployments", list, &p, err);
}

static int deployments_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, deployments_do_list, err);
}

static int deployments_do_create(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "name", NULL };
	const char *project = sk_http_param(call->req, "project"), *name;
	struct sk_deployment d;
	int64_t id = 0;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "name", &name, err);
	if (r < 0)
		return r;
	sk_call_object(call, "%s/%s", project, name);
	r = call->db->projects->find(call->db, call->who->org, project, &id, err);
	if (r <= 0)
		return r < 0 ? r : sk_call_none("project", project, err);
	r = call->db->deployments->add(call->db, call->who->org, id, name, err);
	if (r < 0)
		return r;
	r = call->db->deployments->find(call->db, call->who->org, project, name, &d, err);
	if (r < 0)
		return r;
	call->status = 201;
	return call->db->deployments->show(call->db, call->who->org, d.id, &call->answer, err);
}

static int deployments_create(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "deployment.create", deployments_do_create, err);
}

static int deployments_do_show(struct sk_call *call, struct sk_err *err)
{
	struct sk_deployment d;
	int r = sk_call_deployment(call, &d, err);

	return r < 0 ? r : call->db->deployments->show(call->db, d.org, d.id, &call->answer, err);
}

static int deployments_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, deployments_do_show, err);
}

static int deployments_do_delete(struct sk_call *call, struct sk_err *err)
{
	struct sk_deployment d;
	int r = sk_call_deployment(call, &d, err);

	if (r == 0)
		r = call->db->deployments->remove(call->db, d.org, d.id, err);
	return SK_MIN(r, 0);
}

static int deployments_remove(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "deployment.delete", deployments_do_delete, err);
}

static int show_with_jobs(struct sk_call *call, const struct sk_deployment *d, int jobs,
			  struct sk_err *err)
{
	int r = call->db->deployments->show(call->db, d->org, d->id, &call->answer, err);

	if (r < 0)
		return r;
	(void)json_object_set_new(call->answer, "jobs", json_integer(jobs));
	return 0;
}

static int do_attach(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "release", "again", NULL };
	const char *project = sk_http_param(call->req, "project"), *id;
	struct sk_release_row rel;
	struct sk_deployment d;
	bool again = false;
	int jobs, r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_str(call->body, "release", SK_DIGEST_HEX, &id, err);
	if (r < 0)
		return r;
	r = sk_json_get_bool(call->body, "again", &again, err);
	if (r < 0)
		return r;
	r = sk_call_deployment(call, &d, err);
	if (r < 0)
		return r;
	r = call->db->releases->find(call->db, d.org, project, id, &rel, err);
	if (r <= 0)
		return r < 0 ? r : sk_call_none("release", id, err);
	sk_call_object(call, "%s/%s: %s", project, sk_http_param(call->req, "deployment"),
		       rel.version);
	jobs = sk_rollout_attach(call->db, &d, &rel, again, call->by, err);
	if (jobs < 0)
		return jobs;
	call->wake_deployment = d.id;
	return show_with_jobs(call, &d, jobs, err);
}

static int attach(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "deployment.attach", do_attach, err);
}

static int deployments_do_abort(struct sk_call *call, struct sk_err *err)
{
	struct sk_deployment d;
	int jobs, r = sk_call_deployment(call, &d, err);

	if (r < 0)
		return r;
	jobs = sk_rollout_detach(call->db, &d, call->by, err);
	return jobs < 0 ? jobs : show_with_jobs(call, &d, jobs, err);
}

static int abort_rollout(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "deployment.abort", deployments_do_abort, err);
}

const struct sk_http_route sk_api_deployment_routes[] = {
	{ "GET", "/api/v1/deployments", deployments_list, 0, NULL, 0 },
	{ "GET", "/api/v1/projects/{project}/deployments", deployments_list, 0, NULL, 0 },
	{ "POST", "/api/v1/projects/{project}/deployments", deployments_create, SK_HUB_BODY_MAX,
	  NULL, SK_HUB_OWNER },
	{ "GET", "/api/v1/projects/{project}/deployments/{deployment}", deployments_show, 0, NULL,
	  0 },
	{ "DELETE", "/api/v1/projects/{project}/deployments/{deployment}", deployments_remove, 0,
	  NULL, SK_HUB_OWNER },
	{ "POST", "/api/v1/projects/{project}/deployments/{deployment}/attach", attach,
	  SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "POST", "/api/v1/projects/{project}/deployments/{deployment}/abort", abort_rollout,
	  SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ 0 },
};
