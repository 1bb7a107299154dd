/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

static int make_name(struct sk_engine *e, const char *asked, char buf[static SK_NAME_MAX + 1],
		     struct sk_err *err)
{
	uint32_t n;

	if (asked && *asked) {
		asked += *asked == '/';
		if (!sk_name_ok(asked))
			return sk_err_set(err, -EINVAL, "bad-request",
					  "Invalid container name (%.80s): letters, digits, '.', "
					  "'_' and '-', at most %d",
					  asked, SK_NAME_MAX);
		(void)snprintf(buf, SK_NAME_MAX + 1, "%s", asked);
		return 0;
	}
	do {
		if (getrandom(&n, sizeof(n), 0) != sizeof(n))
			return sk_err_set(err, -EIO, "io", "no random numbers");
		(void)snprintf(buf, SK_NAME_MAX + 1, "capsule-%08x", n);
	} while (sk_engine_find(e, buf, NULL));
	return 0;
}

/* Docker's rule: a new entry point does away with the image's arguments too. */
static int merge(const struct sk_image_info *info, struct sk_create *c, struct sk_run *ret,
		 struct sk_err *err)
{
	struct sk_run base = info->run;

	if (c->has_entrypoint)
		base.arguments = NULL;
	return sk_run_merge(&base, &c->app.run, ret) < 0 ? sk_err_oom(err) : 0;
}

static int reply_created(struct sk_http_req *req, struct sk_capsule *capsule,
			 const struct sk_create *c)
{
	json_t *warnings = sk_json_strv(c->warnings);
	struct sk_capsule_view v;

	sk_capsule_view(capsule, &v);
	return sk_http_reply_json(req, 201,
				  json_pack("{s:s, s:o}", "Id", v.id, "Warnings", warnings));
}

static int create(struct sk_http_req *req, struct sk_daemon *d, struct sk_create *c,
		  struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	char name[SK_NAME_MAX + 1];
	struct sk_app app = c->app;
	struct sk_capsule_spec spec = {
		.app = &app,
		.image_name = c->image,
		.labels = c->labels,
		.auto_remove = c->auto_remove,
	};
	struct sk_capsule *capsule;
	uint64_t size;
	int r = sk_docker_image_find(d, c->image, &spec.image, err);

	r = r < 0 ? r : sk_docker_image_info(d, &spec.image, &info, &size, err);
	r = r < 0 ? r : make_name(d->engine, sk_http_query(req, "name"), name, err);
	r = r < 0 ? r : merge(info, c, &app.run, err);
	if (r < 0)
		return r;
	app.name = name;
	r = sk_engine_create(d->engine, &spec, &capsule, err);
	sk_run_done(&app.run);
	if (r == 0)
		r = reply_created(req, capsule, c);
	/* It is made ready while the client comes back for the start; what fails is told then. */
	if (r == 0)
		(void)sk_capsule_prepare(capsule, NULL, NULL, err);
	return r;
}

int sk_docker_create(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;
	struct sk_create c = { 0 };
	int r = sk_http_body_json(req, &body, err);

	if (r == 0)
		r = sk_create_parse(body, &c, err);
	if (r == 0)
		r = create(req, arg, &c, err);
	sk_create_done(&c);
	return r;
}
