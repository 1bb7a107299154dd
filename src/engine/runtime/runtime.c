/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int sk_runtime_unsupported(const struct sk_runtime_unit *u, const char *what, struct sk_err *err)
{
	return sk_err_set(err, -EOPNOTSUPP, "not-supported",
			  "%s is a capsule of kind \"%s\": one cannot %s", u->app->name,
			  u->kind->ops->name, what);
}

int sk_runtimes_open(struct sk_runtimes *rs, const struct sk_runtime_env *env,
		     const struct sk_runtime_kind *kinds, struct sk_err *err)
{
	for (; kinds->ops; kinds++) {
		struct sk_runtime *rt;
		int r;

		if (rs->n == SK_RUNTIME_KINDS_MAX)
			return sk_err_set(err, -E2BIG, "internal", "too many kinds of capsules");
		rt = &rs->v[rs->n++];
		*rt = (struct sk_runtime){ .ops = kinds->ops, .env = env };
		r = rt->ops->open ? rt->ops->open(rt, kinds->settings, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

void sk_runtimes_close(struct sk_runtimes *rs)
{
	while (rs->n > 0) {
		struct sk_runtime *rt = &rs->v[--rs->n];

		if (rt->ops->close)
			rt->ops->close(rt);
	}
}

/* "container", or "container" and "vm" */
static void runtime_names(const struct sk_runtimes *rs, char *buf, size_t size)
{
	size_t len = 0;

	*buf = '\0';
	for (size_t i = 0; i < rs->n && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s\"%s\"", i ? " and " : "",
					rs->v[i].ops->name);
}

int sk_runtimes_find(const struct sk_runtimes *rs, const struct sk_app *app,
		     const struct sk_runtime **ret, struct sk_err *err)
{
	char names[128];

	for (size_t i = 0; i < rs->n; i++) {
		if (rs->v[i].ops->kind != app->kind)
			continue;
		if (ret)
			*ret = &rs->v[i];
		return 0;
	}
	runtime_names(rs, names, sizeof(names));
	return sk_err_set(err, -ENOTSUP, "not-supported",
			  "%s: this device runs capsules of kind %s only", app->name, names);
}
