/* SPDX-License-Identifier: Apache-2.0 */
#include "model/supervision.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"

void sk_supervision_plan_done(struct sk_supervision_plan *p)
{
	sk_strv_free(p->stop);
	sk_strv_free(p->start);
	*p = (struct sk_supervision_plan){ 0 };
}

static size_t app_number(const struct sk_manifest *m, const char *name)
{
	size_t i = 0;

	while (i < m->n_apps && !sk_streq(m->apps[i].name, name))
		i++;
	return i;
}

/* Mark the direct dependants of @app. Return: true when one was not marked before. */
static bool mark_dependants(const struct sk_manifest *m, const char *app, bool *marked)
{
	bool more = false;

	for (size_t row = 0; row < m->n_supervision; row++) {
		if (!sk_streq(m->supervision[row].app, app))
			continue;
		SK_STRV_FOREACH (d, m->supervision[row].dependants) {
			size_t i = app_number(m, *d);

			if (i < m->n_apps && !marked[i])
				marked[i] = more = true;
		}
	}
	return more;
}

/* Each round marks at least one app or is the last, so cycles end as well. */
static void mark_all(const struct sk_manifest *m, const char *failed, bool *marked)
{
	bool more = mark_dependants(m, failed, marked);

	while (more) {
		more = false;
		for (size_t i = 0; i < m->n_apps; i++)
			if (marked[i] && mark_dependants(m, m->apps[i].name, marked))
				more = true;
	}
}

int sk_supervision_plan(const struct sk_manifest *m, const char *failed,
			struct sk_supervision_plan *ret)
{
	_cleanup_(sk_supervision_plan_done) struct sk_supervision_plan p = { 0 };
	_cleanup_free_ bool *marked = calloc(m->n_apps + 1, sizeof(*marked));
	int r;

	if (!marked)
		return -ENOMEM;
	mark_all(m, failed, marked);
	marked[app_number(m, failed)] = false;
	r = sk_strv_add(&p.start, failed);
	for (size_t i = 0; r == 0 && i < m->n_apps; i++)
		if (marked[i])
			r = sk_strv_add(&p.start, m->apps[i].name);
	for (size_t i = m->n_apps; r == 0 && i > 0; i--)
		if (marked[i - 1])
			r = sk_strv_add(&p.stop, m->apps[i - 1].name);
	if (r < 0)
		return r;
	*ret = p;
	p.start = p.stop = NULL;
	return 0;
}
