/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/**
 * sk_guard_fork() - go on in a child that is watched over
 * The child and the tools that it runs are a process group of their own; whatever ends them (their own
 * end, a fault, Ctrl-C, a lost terminal), the caller outlives all of them and can tidy up.
 * @ret_code: in the parent, which comes back when all is over: the child's exit status
 *
 * Return: 1 in the child, which does the work; 0 in the parent; -EINTR ("child-failed") in the parent
 * after a signal, or when the child was killed; other failures before anything was begun.
 */
int sk_guard_fork(int *ret_code, struct sk_err *err);
