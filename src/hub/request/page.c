/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/request/page.h"

#include <errno.h>

#include "hub/request/params.h"

/* Takes the internal ids out of the rows. Return: where the next page goes on; 0: there is none. */
static int64_t page_end(json_t *list, const struct sk_page *p)
{
	int64_t last = 0;
	bool more = json_array_size(list) == (size_t)p->rows;
	json_t *row;
	size_t i;

	if (more)
		(void)json_array_remove(list, (size_t)p->rows - 1);
	json_array_foreach (list, i, row) {
		last = json_integer_value(json_object_get(row, "row"));
		(void)json_object_del(row, "row");
	}
	return more ? last : 0;
}

int sk_call_list(struct sk_call *call, const char *name, json_t *list, const struct sk_page *p,
		 struct sk_err *err)
{
	int64_t next = p ? page_end(list, p) : 0;

	call->answer = json_pack("{s:o}", name, list);
	if (!call->answer)
		return sk_err_oom(err);
	if (next > 0 && json_object_set_new(call->answer, "next", json_integer(next)))
		return sk_err_oom(err);
	return 0;
}

static int page_read(struct sk_call *call, const char *cursor, int limit_max, struct sk_page *ret,
		     struct sk_err *err)
{
	uint64_t limit, from;
	int r = sk_call_query_u64(call, "limit", &limit, err);

	if (r < 0)
		return r;
	if (limit == 0 && sk_http_query(call->req, "limit"))
		return sk_err_set(err, -EINVAL, "bad-request", "limit: 1 to %d", limit_max);
	r = sk_call_query_u64(call, cursor, &from, err);
	if (r < 0)
		return r;
	limit = limit > 0 ? SK_MIN(limit, (uint64_t)limit_max) : (uint64_t)limit_max;
	*ret = (struct sk_page){ .from = (int64_t)from, .rows = (int)limit + 1 };
	return 0;
}

int sk_call_page_after(struct sk_call *call, int limit_max, struct sk_page *ret, struct sk_err *err)
{
	return page_read(call, "after", limit_max, ret, err);
}

int sk_call_page_before(struct sk_call *call, int limit_max, struct sk_page *ret,
			struct sk_err *err)
{
	int r = page_read(call, "before", limit_max, ret, err);

	if (r == 0 && ret->from == 0)
		ret->from = INT64_MAX;
	return r;
}
