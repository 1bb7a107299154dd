/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "hub/api/routes.h"
#include "hub/db/projects.h"
#include "hub/request/call.h"
#include "hub/request/page.h"
#include "hub/request/params.h"
#include "io/json.h"

static int projects_do_list(struct sk_call *call, struct sk_err *err)
{
	json_t *list = NULL;
	struct sk_page p;
	int r = sk_call_page_after(call, SK_PAGE_MAX, &p, err);

	if (r < 0)
		return r;
	r = call->db->projects->list(call->db, call->who->org, &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "projects", list, &p, err);
}

static int projects_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, projects_do_list, err);
}

static int projects_do_create(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "name", NULL };
	const char *name;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "name", &name, err);
	if (r < 0)
		return r;
	sk_call_object(call, "%s", name);
	r = call->db->projects->add(call->db, call->who->org, name, err);
	if (r == 0)
		r = call->db->projects->show(call->db, call->who->org, name, &call->answer, err);
	call->status = 201;
	return r;
}

static int projects_create(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "project.create", projects_do_create, err);
}

static int projects_do_show(struct sk_call *call, struct sk_err *err)
{
	const char *name = sk_http_param(call->req, "project");
	int r = call->db->projects->show(call->db, call->who->org, name, &call->answer, err);

	return r == 0 && !call->answer ? sk_call_none("project", name, err) : r;
}

static int projects_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, projects_do_show, err);
}

static int projects_do_delete(struct sk_call *call, struct sk_err *err)
{
	const char *name = sk_http_param(call->req, "project");
	int r = call->db->projects->remove(call->db, call->who->org, name, err);

	sk_call_object(call, "%s", name);
	return r == 0 ? sk_call_none("project", name, err) : r;
}

static int projects_remove(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "project.delete", projects_do_delete, err);
}

const struct sk_http_route sk_api_project_routes[] = {
	{ "GET", "/api/v1/projects", projects_list, 0, NULL, 0 },
	{ "POST", "/api/v1/projects", projects_create, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "GET", "/api/v1/projects/{project}", projects_show, 0, NULL, 0 },
	{ "DELETE", "/api/v1/projects/{project}", projects_remove, 0, NULL, SK_HUB_OWNER },
	{ 0 },
};
