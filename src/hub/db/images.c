/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/images.h"

#include <errno.h>

int sk_image_find(struct sk_conn *c, int64_t org, const char *digest, struct sk_image_row *ret,
		  struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT id, size_bytes, complete FROM images"
			    " WHERE org_id = ? AND digest = ?",
			    "is", org, digest);
	int r = sk_query_step(&q, err);

	if (r > 0)
		*ret = (struct sk_image_row){
			.id = sk_query_int(&q, 0),
			.size_bytes = (uint64_t)sk_query_int(&q, 1),
			.complete = sk_query_int(&q, 2) != 0,
		};
	return r;
}

int sk_image_want(struct sk_conn *c, int64_t org, const char *digest, uint64_t size_bytes,
		  int64_t *ret_id, struct sk_err *err)
{
	struct sk_image_row row = { 0 };
	int r = sk_image_find(c, org, digest, &row, err);

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
	return sk_db_insert(c, ret_id, err,
			    "INSERT INTO images (org_id, digest, size_bytes) VALUES (?, ?, ?)",
			    "isi", org, digest, (int64_t)size_bytes);
}

int sk_image_set_complete(struct sk_conn *c, int64_t org, const char *digest, bool complete,
			  struct sk_err *err)
{
	int r = sk_db_run(c, err, "UPDATE images SET complete = ? WHERE org_id = ? AND digest = ?",
			  "dis", (int)complete, org, digest);

	return r < 0 ? r : 0;
}

int sk_image_prune(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err)
{
	return sk_db_list(c, ret, err,
			  "DELETE FROM images WHERE org_id = ? AND id NOT IN"
			  " (SELECT image_id FROM release_images) RETURNING digest",
			  "i", org);
}

int sk_image_all(struct sk_conn *c, json_t **ret, struct sk_err *err)
{
	return sk_db_list(c, ret, err,
			  "SELECT org_id AS org, digest, size_bytes, complete AS \"complete:bool\""
			  " FROM images",
			  "");
}
