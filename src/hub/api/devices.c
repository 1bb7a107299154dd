/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/api/devices.h"

#include <errno.h>

#include "base/clock.h"
#include "hub/api/routes.h"
#include "hub/db/deployments.h"
#include "hub/db/devices.h"
#include "hub/db/jobs.h"
#include "hub/db/projects.h"
#include "hub/db/releases.h"
#include "hub/domain/rollout.h"
#include "hub/request/page.h"
#include "hub/request/params.h"
#include "io/json.h"

int sk_call_device(struct sk_call *call, struct sk_device *ret, struct sk_err *err)
{
	const char *id = sk_http_param(call->req, "device");
	int r = call->db->devices->find(call->db, call->who->org, id, ret, err);

	sk_call_object(call, "%s", id);
	return r == 0 ? sk_call_none("device", id, err) : SK_MIN(r, 0);
}

/* What is newer in memory than in the database: when it was seen, and whether it waits now. */
static void add_presence(struct sk_hub *hub, json_t *device)
{
	int64_t row = json_integer_value(json_object_get(device, "row"));
	int64_t seen = sk_seen_get(hub->seen, row);

	if (seen > 0)
		(void)json_object_set_new(device, "last_seen_s", json_integer(seen));
	(void)json_object_set_new(device, "connected",
				  json_boolean(sk_waiters_has(hub->waiters, row)));
}

static int show_device(struct sk_call *call, const struct sk_device *d, struct sk_err *err)
{
	int r = call->db->devices->show(call->db, d->org, d->id, &call->answer, err);

	if (r == 0) {
		add_presence(call->hub, call->answer);
		(void)json_object_del(call->answer, "row");
	}
	return r;
}

/* ?project= and ?deployment=; unknown ones are "not-found". */
static int read_place(struct sk_call *call, struct sk_device_filter *f, struct sk_err *err)
{
	const char *project = sk_http_query(call->req, "project");
	const char *deployment = sk_http_query(call->req, "deployment");
	struct sk_deployment d = { 0 };
	int r;

	if (!project)
		return deployment ? sk_err_set(err, -EINVAL, "bad-request",
					       "deployment needs project too")
				  : 0;
	r = call->db->projects->find(call->db, call->who->org, project, &f->project, err);
	if (r == 0)
		return sk_call_none("project", project, err);
	if (r > 0 && deployment) {
		r = call->db->deployments->find(call->db, call->who->org, project, deployment, &d,
						err);
		if (r == 0)
			return sk_call_none("deployment", deployment, err);
		f->deployment = d.id;
	}
	return SK_MIN(r, 0);
}

static int devices_do_list(struct sk_call *call, struct sk_err *err)
{
	struct sk_device_filter f = { .status = sk_http_query(call->req, "status"),
				      .name = sk_http_query(call->req, "name") };
	json_t *list = NULL, *device;
	struct sk_page p;
	size_t i;
	int r = sk_call_page_after(call, SK_PAGE_MAX, &p, err);

	if (r < 0)
		return r;
	r = read_place(call, &f, err);
	if (r < 0)
		return r;
	r = call->db->devices->list(call->db, call->who->org, &f, &p, &list, err);
	if (r < 0)
		return r;
	json_array_foreach (list, i, device) {
		add_presence(call->hub, device);
	}
	return sk_call_list(call, "devices", list, &p, err);
}

static int devices_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, devices_do_list, err);
}

static int devices_do_show(struct sk_call *call, struct sk_err *err)
{
	struct sk_device d;
	int r = sk_call_device(call, &d, err);

	return r < 0 ? r : show_device(call, &d, err);
}

static int devices_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, devices_do_show, err);
}

/* {project, deployment} of the body. */
static int need_place(struct sk_call *call, struct sk_deployment *ret, struct sk_err *err)
{
	static const char *const known[] = { "project", "deployment", NULL };
	const char *project, *name;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_str(call->body, "project", SK_NAME_MAX, &project, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(call->body, "deployment", SK_NAME_MAX, &name, err);
	if (r < 0)
		return r;
	r = call->db->deployments->find(call->db, call->who->org, project, name, ret, err);
	if (r == 0)
		return sk_err_set(err, -ENOENT, "not-found", "there is no deployment \"%s/%s\"",
				  project, name);
	return SK_MIN(r, 0);
}

static int place(struct sk_call *call, const struct sk_device *dev, const struct sk_deployment *d,
		 struct sk_err *err)
{
	int r = call->db->devices->set_status(call->db, dev, "accepted", d->id, err);

	if (r == 0 && dev->deployment != d->id)
		r = call->db->jobs->abort_device(call->db, dev->id,
						 "the device changed its deployment", err);
	if (r >= 0 && dev->deployment != d->id)
		r = sk_rollout_join(call->db, dev, d, call->by, err);
	if (r < 0)
		return r;
	/* Its poll is registered for the old deployment: end it, the next one is for the new. */
	call->wake_device = dev->id;
	call->end_poll = true;
	return show_device(call, dev, err);
}

static int do_accept(struct sk_call *call, struct sk_err *err)
{
	struct sk_deployment d;
	struct sk_device dev;
	int r = sk_call_device(call, &dev, err);

	if (r < 0)
		return r;
	if (sk_streq(dev.status, "accepted"))
		return sk_err_set(err, -EBUSY, "bad-state", "the device is accepted already");
	r = need_place(call, &d, err);
	return r < 0 ? r : place(call, &dev, &d, err);
}

static int accept_device(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.accept", do_accept, err);
}

static int do_move(struct sk_call *call, struct sk_err *err)
{
	struct sk_deployment d;
	struct sk_device dev;
	int r = sk_call_device(call, &dev, err);

	if (r < 0)
		return r;
	if (!sk_streq(dev.status, "accepted"))
		return sk_err_set(err, -EBUSY, "bad-state", "the device is %s: accept it instead",
				  dev.status);
	r = need_place(call, &d, err);
	return r < 0 ? r : place(call, &dev, &d, err);
}

static int move(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.move", do_move, err);
}

/* The jobs, the session and the poll of the device end at once. */
static int shut_out(struct sk_call *call, const char *status, struct sk_err *err)
{
	struct sk_device dev;
	int r = sk_call_device(call, &dev, err);

	if (r < 0)
		return r;
	r = call->db->devices->set_status(call->db, &dev, status, dev.deployment, err);
	if (r < 0)
		return r;
	r = call->db->jobs->abort_device(call->db, dev.id, "the device was shut out", err);
	if (r < 0)
		return r;
	call->drop_device = dev.id;
	call->rights_ended = true;
	return show_device(call, &dev, err);
}

static int do_reject(struct sk_call *call, struct sk_err *err)
{
	struct sk_device dev;
	int r = sk_call_device(call, &dev, err);

	if (r < 0)
		return r;
	if (!sk_streq(dev.status, "pending"))
		return sk_err_set(err, -EBUSY, "bad-state",
				  "the device is %s: only a pending one is rejected (block it, or "
				  "delete it)",
				  dev.status);
	return r < 0 ? r : shut_out(call, "rejected", err);
}

static int reject(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.reject", do_reject, err);
}

static int do_block(struct sk_call *call, struct sk_err *err)
{
	return shut_out(call, "blocked", err);
}

static int block(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.block", do_block, err);
}

static int do_rename(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "name", NULL };
	struct sk_device dev;
	const char *name;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "name", &name, err);
	if (r < 0)
		return r;
	r = sk_call_device(call, &dev, err);
	if (r < 0)
		return r;
	r = call->db->devices->set_name(call->db, &dev, name, err);
	return r < 0 ? r : show_device(call, &dev, err);
}

static int rename_device(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.rename", do_rename, err);
}

static int devices_do_delete(struct sk_call *call, struct sk_err *err)
{
	struct sk_device dev;
	int r = sk_call_device(call, &dev, err);

	if (r < 0)
		return r;
	r = call->db->devices->remove(call->db, &dev, err);
	if (r < 0)
		return r;
	call->drop_device = dev.id;
	call->rights_ended = true;
	return 0;
}

static int devices_remove(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.delete", devices_do_delete, err);
}

/* The release that is asked for, else the deployment's. */
static int choose_release(struct sk_call *call, const struct sk_device *dev,
			  struct sk_release_row *ret, struct sk_err *err)
{
	struct sk_deployment d;
	const char *id = NULL;
	int r = sk_json_get_str(call->body, "release", &id, err);

	if (r == 0)
		r = call->db->deployments->get(call->db, dev->org, dev->deployment, &d, err);
	if (r <= 0)
		return r;
	if (!id && !d.release)
		return sk_err_set(err, -EBUSY, "bad-state",
				  "the device's deployment has no release: name one");
	r = id ? call->db->releases->of_project(call->db, dev->org, d.project, id, ret, err)
	       : call->db->releases->get(call->db, dev->org, d.release, ret, err);
	if (r == 0)
		return sk_call_none("release", id ? id : "", err);
	return SK_MIN(r, 0);
}

static int do_upgrade(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "release", NULL };
	struct sk_release_row rel;
	struct sk_device dev;
	int64_t job = 0;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_device(call, &dev, err);
	if (r < 0)
		return r;
	if (!sk_streq(dev.status, "accepted"))
		return sk_err_set(err, -EBUSY, "bad-state", "the device is %s", dev.status);
	r = choose_release(call, &dev, &rel, err);
	if (r < 0)
		return r;
	r = sk_rollout_one(call->db, &dev, &rel, call->by, &job, err);
	if (r < 0)
		return r;
	call->wake_device = dev.id;
	call->status = 202;
	sk_call_object(call, "%s: %s", dev.uid, rel.version);
	return call->db->jobs->show(call->db, dev.org, job, &call->answer, err);
}

static int upgrade(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "device.upgrade", do_upgrade, err);
}

#define PATH "/api/v1/devices/{device}"

const struct sk_http_route sk_api_device_routes[] = {
	{ "GET", "/api/v1/devices", devices_list, 0, NULL, 0 },
	{ "GET", PATH, devices_show, 0, NULL, 0 },
	{ "PATCH", PATH, rename_device, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "DELETE", PATH, devices_remove, 0, NULL, SK_HUB_OWNER },
	{ "POST", PATH "/accept", accept_device, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "POST", PATH "/reject", reject, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "POST", PATH "/block", block, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "POST", PATH "/move", move, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "POST", PATH "/upgrade", upgrade, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ 0 },
};
