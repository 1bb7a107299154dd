/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capsule/logs.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "engine/capsule/capsule.h"

/** struct sk_logs - a reader that its kind opened, and the capsule that it is of */
struct sk_logs {
	struct sk_capsule *c; /* NULL once it is gone */
	struct sk_log_reader *reader;
	struct sk_engine_watch *watch;
	int (*line)(void *arg, const struct sk_log_line *l);
	void (*end)(void *arg);
	void *arg;
};

void sk_logs_close(struct sk_logs *l)
{
	if (!l)
		return;
	if (l->reader)
		l->reader->ops->close(l->reader);
	sk_engine_unwatch(l->watch);
	free(l);
}

static int on_log_line(void *arg, const struct sk_log_line *line)
{
	struct sk_logs *l = arg;

	return l->line(l->arg, line);
}

static void on_log_end(void *arg)
{
	struct sk_logs *l = arg;

	l->end(l->arg);
}

static bool log_is_over(void *arg)
{
	const struct sk_capsule *c = ((struct sk_logs *)arg)->c;

	return !c || (c->started_s && (c->state < SK_CAP_PREPARING || c->state > SK_CAP_STOPPING));
}

static void on_log_event(void *arg, struct sk_capsule *c, const char *event)
{
	struct sk_logs *l = arg;

	if (c != l->c)
		return;
	if (sk_streq(event, "destroy"))
		l->c = NULL;
	if (l->reader)
		l->reader->ops->poke(l->reader);
}

int sk_logs_open(struct sk_capsule *c, const struct sk_log_query *query,
		 int (*line)(void *arg, const struct sk_log_line *l), void (*end)(void *arg),
		 void *arg, struct sk_logs **ret, struct sk_err *err)
{
	const struct sk_runtime_ops *ops = c->unit.kind->ops;
	struct sk_log_sink sink = { on_log_line, on_log_end, log_is_over };
	struct sk_logs *l;
	int r;

	if (!ops->open_log)
		return sk_runtime_unsupported(&c->unit, "read its log", err);
	l = calloc(1, sizeof(*l));
	if (!l)
		return sk_err_oom(err);
	*l = (struct sk_logs){ .c = c, .line = line, .end = end, .arg = arg };
	sink.arg = l;
	r = sk_engine_watch(c->e, on_log_event, l, &l->watch);
	r = r < 0 ? sk_err_oom(err) : ops->open_log(&c->unit, query, &sink, &l->reader, err);
	if (r < 0) {
		sk_logs_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

void sk_logs_resume(struct sk_logs *l)
{
	l->reader->ops->resume(l->reader);
}
