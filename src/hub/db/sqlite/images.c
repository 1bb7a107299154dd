/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/images.h"

#include <errno.h>

#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int image_find(struct sk_conn *c, int64_t org, const char *digest, struct sk_image_row *ret,
		      struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT id, size_bytes, complete FROM images"
			    " WHERE org_id = ? AND digest = ?",
			    SK_BIND(SK_INT(org), SK_TEXT(digest)));
	int r = sk_query_step(&q, err);

	if (r > 0)
		*ret = (struct sk_image_row){
			.id = sk_query_int(&q, 0),
			.size_bytes = (uint64_t)sk_query_int(&q, 1),
			.complete = sk_query_int(&q, 2) != 0,
		};
	return r;
}

static int image_ensure(struct sk_conn *c, int64_t org, const char *digest, uint64_t size_bytes,
			int64_t *ret_id, struct sk_err *err)
{
	struct sk_image_row row = { 0 };
	int r = image_find(c, org, digest, &row, err);

	if (r < 0)
		return r;
	if (r > 0 && row.size_bytes != size_bytes)
		return sk_err_set(err, -EBADMSG, "bad-release",
				  "image %s is %llu bytes in another release, %llu in this one",
				  digest, (unsigned long long)row.size_bytes,
				  (unsigned long long)size_bytes);
	*ret_id = row.id;
	if (r > 0)
		return 0;
	return sk_sql_insert(c, ret_id, err,
			     "INSERT INTO images (org_id, digest, size_bytes) VALUES (?, ?, ?)",
			     SK_BIND(SK_INT(org), SK_TEXT(digest), SK_INT(size_bytes)));
}

static int image_set_complete(struct sk_conn *c, int64_t org, const char *digest, bool complete,
			      struct sk_err *err)
{
	int r = sk_sql_run(c, err, "UPDATE images SET complete = ? WHERE org_id = ? AND digest = ?",
			   SK_BIND(SK_INT(complete), SK_INT(org), SK_TEXT(digest)));

	return r < 0 ? r : 0;
}

static int image_prune(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "DELETE FROM images WHERE org_id = ? AND id NOT IN"
			   " (SELECT image_id FROM release_images) RETURNING digest",
			   SK_BIND(SK_INT(org)));
}

static int image_list_all(struct sk_conn *c, json_t **ret, struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT org_id AS org, digest, size_bytes, complete AS \"complete:bool\""
			   " FROM images",
			   SK_NO_BINDS);
}

const struct sk_image_repo sk_sqlite_images = {
	.ensure = image_ensure,
	.find = image_find,
	.set_complete = image_set_complete,
	.prune = image_prune,
	.list_all = image_list_all,
};
