/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/capsule/engine.h"
#include "engine/runtime/log.h"

/**
 * sk_logs_open() - read a capsule's log, over rotations, from oldest to newest
 * @line: non-zero return pauses (call sk_logs_resume()); @end: called once at the end, when following only once the
 * capsule has exited and all was read. Both from the loop. The reader may be closed inside @end, but not
 * inside @line.
 */
struct sk_logs;
int sk_logs_open(struct sk_capsule *c, const struct sk_log_query *query,
		 int (*line)(void *arg, const struct sk_log_line *l), void (*end)(void *arg),
		 void *arg, struct sk_logs **ret, struct sk_err *err);
void sk_logs_resume(struct sk_logs *l);
void sk_logs_close(struct sk_logs *l);
