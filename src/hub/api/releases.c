/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "hub/api/routes.h"
#include "hub/db/crls.h"
#include "hub/db/images.h"
#include "hub/db/orgs.h"
#include "hub/db/projects.h"
#include "hub/db/releases.h"
#include "hub/domain/release_file.h"
#include "hub/request/call.h"
#include "hub/request/page.h"
#include "io/json.h"
#include "model/manifest.h"
#include "model/release.h"

static int releases_find(struct sk_call *call, struct sk_release_row *ret, struct sk_err *err)
{
	const char *project = sk_http_param(call->req, "project");
	const char *id = sk_http_param(call->req, "release");
	int r = call->db->releases->find(call->db, call->who->org, project, id, ret, err);

	sk_call_object(call, "%s/%s", project, r > 0 ? ret->version : id);
	return r == 0 ? sk_call_none("release", id, err) : SK_MIN(r, 0);
}

static int releases_do_list(struct sk_call *call, struct sk_err *err)
{
	const char *project = sk_http_param(call->req, "project");
	json_t *list = NULL;
	struct sk_page p;
	int64_t id = 0;
	int r = call->db->projects->find(call->db, call->who->org, project, &id, err);

	if (r <= 0)
		return r < 0 ? r : sk_call_none("project", project, err);
	r = sk_call_page_before(call, SK_PAGE_MAX, &p, err);
	if (r < 0)
		return r;
	r = call->db->releases->list(call->db, call->who->org, id, &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "releases", list, &p, err);
}

static int releases_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, releases_do_list, err);
}

/* Adds to each image the offset from which its upload goes on. */
static int add_offsets(struct sk_call *call, struct sk_err *err)
{
	json_t *images = json_object_get(call->answer, "images"), *image;
	size_t i;

	json_array_foreach (images, i, image) {
		struct sk_blob_key key = { .org = call->who->org };
		uint64_t offset = 0;
		bool have;
		int r = sk_json_need_digest(image, "digest", &key.digest, err);

		if (r == 0)
			r = sk_blob_stat(call->hub->images, &key, &have, &offset, err);
		if (r < 0)
			return r;
		(void)json_object_set_new(image, "offset", json_integer((json_int_t)offset));
	}
	return 0;
}

static int show_row(struct sk_call *call, int64_t id, struct sk_err *err)
{
	int r = call->db->releases->show(call->db, call->who->org, id, &call->answer, err);

	return r < 0 ? r : add_offsets(call, err);
}

static int releases_do_show(struct sk_call *call, struct sk_err *err)
{
	struct sk_release_row row;
	int r = releases_find(call, &row, err);

	return r < 0 ? r : show_row(call, row.id, err);
}

static int releases_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, releases_do_show, err);
}

static int do_graph(struct sk_call *call, struct sk_err *err)
{
	struct sk_release_row row;
	int r = releases_find(call, &row, err);

	return r < 0 ? r
		     : call->db->releases->graph(call->db, call->who->org, row.id, &call->answer,
						 err);
}

static int graph(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, do_graph, err);
}

/* Answers with the file itself, so not through sk_call_read(); one operation needs no transaction. */
static int releases_file(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_call call = { .hub = arg, .req = req, .who = sk_http_user(req) };
	struct sk_blob_key key = { .org = call.who->org };
	struct sk_release_row row;
	int fd = -1, r = sk_db_read(call.hub->db, &call.db, err);

	if (r < 0)
		return r;
	r = releases_find(&call, &row, err);
	if (r < 0)
		return r;
	r = sk_digest_parse(row.file_digest, &key.digest);
	if (r < 0)
		return r;
	r = sk_blob_open(call.hub->files, &key, &fd, err);
	if (r < 0)
		return r;
	r = sk_http_reply_fd(req, fd, "application/pkcs7-mime", row.file_digest);
	return r < 0 ? sk_err_oom(err) : 0;
}

/** An upload of a release while it goes through its steps. */
struct incoming {
	struct sk_release_file file;
	const void *bytes;
	size_t len;
};

static int check_limits(struct sk_call *call, const struct sk_manifest *m, struct sk_err *err)
{
	uint64_t used, quota, sum = 0;
	int r = call->db->orgs->storage(call->db, call->who->org, &used, &quota, err);

	for (size_t i = 0; r == 0 && i < m->n_images; i++) {
		struct sk_image_row row;
		const struct sk_image_ref *im = &m->images[i];

		if (im->size_bytes == 0 || im->size_bytes > call->hub->config.image_max)
			return sk_err_set(err, -EFBIG, "too-large",
					  "image %s: %" PRIu64 " bytes; this hub takes 1 to "
					  "%" PRIu64,
					  im->name, im->size_bytes, call->hub->config.image_max);
		r = call->db->images->find(call->db, call->who->org, SK_DIGEST_STR(&im->digest),
					   &row, err);
		sum += r == 0 ? im->size_bytes : 0;
		r = SK_MIN(r, 0);
	}
	if (r == 0 && quota > 0 && used + sum > quota)
		return sk_err_set(err, -EDQUOT, "no-space",
				  "the organisation may store %" PRIu64 " bytes of images, has "
				  "%" PRIu64 ", and this release adds %" PRIu64,
				  quota, used, sum);
	return r;
}

static int add_rows(struct sk_call *call, const struct sk_release_file *f, size_t len,
		    int64_t project, int64_t *ret_id, struct sk_err *err)
{
	_cleanup_free_ char *graph_text = json_dumps(f->graph, JSON_COMPACT);
	_cleanup_free_ char *compatible = json_dumps(f->compatible, JSON_COMPACT);
	const struct sk_manifest *m = f->manifest;
	int64_t image = 0;
	int r;

	if (!graph_text || !compatible)
		return sk_err_oom(err);
	r = call->db->releases->add(
		call->db,
		&(struct sk_release_new){ .org = call->who->org,
					  .project = project,
					  .digest = SK_DIGEST_STR(&f->id),
					  .version = m->version,
					  .file_digest = SK_DIGEST_STR(&f->file),
					  .file_size = len,
					  .expires_s = m->expires_s,
					  .created_by = call->by,
					  .compatible = compatible,
					  .graph = graph_text },
		ret_id, err);
	for (size_t i = 0; r == 0 && i < m->n_images; i++) {
		r = call->db->images->ensure(call->db, call->who->org,
					     SK_DIGEST_STR(&m->images[i].digest),
					     m->images[i].size_bytes, &image, err);
		if (r == 0)
			r = call->db->releases->add_image(call->db, *ret_id, image,
							  m->images[i].name, err);
	}
	return r;
}

/* On disk before its row is: a crash in between leaves a file that the next start removes. */
static int store_file(struct sk_call *call, const struct incoming *in, struct sk_err *err)
{
	_cleanup_(sk_upload_freep) struct sk_upload *u = NULL;
	struct sk_blob_key key = { .org = call->who->org, .digest = in->file.file };
	uint64_t offset = 0;
	bool have = false;
	int r = sk_blob_stat(call->hub->files, &key, &have, &offset, err);

	if (r < 0 || have)
		return r;
	if (offset > 0) { /* left by a crash; it is small, so it is sent anew */
		r = sk_blob_remove(call->hub->files, &key, err);
		if (r < 0)
			return r;
	}
	r = sk_upload_begin(call->hub->files, &key, in->len, 0, &u, err);
	if (r < 0)
		return r;
	r = sk_upload_write(u, in->bytes, in->len, err);
	return r < 0 ? r : sk_upload_end(u, &have, &offset, err);
}

static int add_release(struct sk_call *call, const struct incoming *in, int64_t project_id,
		       struct sk_err *err)
{
	const char *project = sk_http_param(call->req, "project");
	const struct sk_manifest *m = in->file.manifest;
	struct sk_release_row row;
	int64_t id = 0;
	int r;

	sk_call_object(call, "%s/%s", project, m->version);
	if (!sk_streq(m->project, project))
		return sk_err_set(err, -EINVAL, "bad-release",
				  "the manifest says project \"%s\", the upload went to \"%s\"",
				  m->project, project);
	r = call->db->releases->find(call->db, call->who->org, project, SK_DIGEST_STR(&in->file.id),
				     &row, err);
	if (r > 0) /* sent again after a cut: answer which images are missing */
		return show_row(call, row.id, err);
	if (r == 0)
		r = check_limits(call, m, err);
	if (r == 0)
		r = store_file(call, in, err);
	if (r == 0)
		r = add_rows(call, &in->file, in->len, project_id, &id, err);
	call->status = 201;
	return r < 0 ? r : show_row(call, id, err);
}

static int need_project(struct sk_call *call, int64_t *ret_id, struct sk_err *err)
{
	const char *project = sk_http_param(call->req, "project");
	int r = call->db->projects->find(call->db, call->who->org, project, ret_id, err);

	return r == 0 ? sk_call_none("project", project, err) : SK_MIN(r, 0);
}

/* Before the transaction: a manifest may have megabytes, and its signature is checked. */
static int releases_prepare_upload(struct sk_call *call, struct sk_err *err)
{
	_cleanup_strv_ char **crls = NULL;
	_cleanup_free_ char *ca = NULL;
	struct incoming *in = call->data;
	int64_t id;
	int r = need_project(call, &id, err);

	if (r < 0)
		return r;
	r = call->db->orgs->ca(call->db, call->who->org, &ca, err);
	if (r < 0)
		return r;
	if (ca) {
		r = call->db->crls->pems(call->db, call->who->org, &crls, err);
		if (r < 0)
			return r;
	}
	in->bytes = sk_http_body(call->req, &in->len);
	return sk_release_file_read(in->bytes, in->len, ca, crls, &in->file, err);
}

static int releases_do_upload(struct sk_call *call, struct sk_err *err)
{
	int64_t id = 0;
	int r = need_project(call, &id, err);

	return r < 0 ? r : add_release(call, call->data, id, err);
}

static int releases_upload(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct incoming in = { 0 };
	int r = sk_call_change_prepared(req, arg,
					&(struct sk_call_steps){ .raw = true,
								 .action = "release.upload",
								 .prepare = releases_prepare_upload,
								 .run = releases_do_upload,
								 .data = &in },
					err);

	sk_release_file_done(&in.file);
	return r;
}

static int releases_do_delete(struct sk_call *call, struct sk_err *err)
{
	struct sk_release_row row;
	int r = releases_find(call, &row, err);

	if (r < 0)
		return r;
	r = call->db->releases->remove(call->db, call->who->org, row.id, err);
	if (r < 0)
		return r;
	(void)snprintf(call->removed_file, sizeof(call->removed_file), "%s", row.file_digest);
	return 0;
}

static int releases_remove(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "release.delete", releases_do_delete, err);
}

#define PATH "/api/v1/projects/{project}/releases"

const struct sk_http_route sk_api_release_routes[] = {
	{ "GET", PATH, releases_list, 0, NULL, 0 },
	{ "POST", PATH, releases_upload, SK_RELEASE_FILE_MAX, NULL, SK_HUB_OWNER },
	{ "GET", PATH "/{release}", releases_show, 0, NULL, 0 },
	{ "DELETE", PATH "/{release}", releases_remove, 0, NULL, SK_HUB_OWNER },
	{ "GET", PATH "/{release}/graph", graph, 0, NULL, 0 },
	{ "GET", PATH "/{release}/file", releases_file, 0, NULL, 0 },
	{ 0 },
};
