/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/request/call.h"

/**
 * Which page of a list is asked for: ?limit=, and ?after= for lists in the order in which things were
 * made, ?before= for those with the newest first. One row more than asked for is fetched, to know
 * whether there is a next page.
 * @limit_max: most rows of an answer, and how many without ?limit=
 */
int sk_call_page_after(struct sk_call *call, int limit_max, struct sk_page *ret,
		       struct sk_err *err);
int sk_call_page_before(struct sk_call *call, int limit_max, struct sk_page *ret,
			struct sk_err *err);
#define SK_PAGE_MAX 500

/**
 * sk_call_list() - answer {"<name>": list}; steals @list
 * @p: the page that was fetched: its rows lose "row", and the answer says how to go on ("next")
 */
int sk_call_list(struct sk_call *call, const char *name, json_t *list, const struct sk_page *p,
		 struct sk_err *err);
