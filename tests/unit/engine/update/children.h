/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "io/sys/child.h"

/*
 * The daemon's children (sk_child_task(), with -Wl,--wrap=sk_child_task): held before they do anything, or not
 * to be had at all.
 */
struct children {
	bool hold; /* they stand still until children_go_on() */
	bool none;
	pid_t last;
	unsigned n;	     /* so many were started */
	struct sk_task task; /* as the last one was asked for */
};
extern struct children children;

/** The last one goes on. */
void children_go_on(void);
