/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/db.h"

void sk_db_close(struct sk_db *db)
{
	db->ops->close(db);
}

int sk_db_read(struct sk_db *db, struct sk_conn **ret, struct sk_err *err)
{
	return db->ops->read(db, ret, err);
}

int sk_db_begin_read(struct sk_db *db, struct sk_conn **ret, struct sk_err *err)
{
	struct sk_conn *c;
	int r = db->ops->read(db, &c, err);

	if (r < 0)
		return r;
	r = db->ops->begin_read(c, err);
	if (r < 0)
		return r;
	*ret = c;
	return 0;
}

void sk_db_end_read(struct sk_conn *c)
{
	c->db->ops->end_read(c);
}

int sk_db_begin(struct sk_db *db, struct sk_conn **ret, struct sk_err *err)
{
	return db->ops->begin(db, ret, err);
}

int sk_db_commit(struct sk_conn *c, struct sk_err *err)
{
	return c->db->ops->commit(c, err);
}

void sk_db_rollback(struct sk_conn *c)
{
	c->db->ops->rollback(c);
}

int sk_db_end(struct sk_conn *c, int r, struct sk_err *err)
{
	if (r >= 0)
		return sk_db_commit(c, err);
	sk_db_rollback(c);
	return r;
}

int sk_db_backup(struct sk_conn *c, const char *path, struct sk_err *err)
{
	return c->db->ops->backup(c, path, err);
}
