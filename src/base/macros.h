/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

/**
 * Scope-bound clean-up, as in systemd: a variable marked _cleanup_(f) has f(&variable) called
 * when it goes out of scope, on every path. TAKE_PTR() and TAKE_FD() hand a value on and disarm it.
 */
#define _cleanup_(f)	__attribute__((cleanup(f)))
#define _cleanup_free_	_cleanup_(sk_freep)
#define _cleanup_close_ _cleanup_(sk_closep)

#define TAKE_PTR(p)                             \
	({                                      \
		__auto_type _take_at = &(p);    \
		__auto_type _taken = *_take_at; \
		*_take_at = NULL;               \
		_taken;                         \
	})

#define TAKE_FD(fd)                     \
	({                              \
		int *_take_at = &(fd);  \
		int _taken = *_take_at; \
		*_take_at = -1;         \
		_taken;                 \
	})

/** Defines free_fn##p() for _cleanup_: SK_DEFINE_CLEANUP(struct sk_map, sk_map_free) */
#define SK_DEFINE_CLEANUP(type, free_fn)         \
	static inline void free_fn##p(type **at) \
	{                                        \
		if (*at)                         \
			free_fn(*at);            \
	}                                        \
	struct sk_semicolon_please

#define ARRAY_SIZE(a)	   (sizeof(a) / sizeof((a)[0]))
#define SK_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define SK_SENTINEL	   __attribute__((sentinel))
#define SK_UNUSED	   __attribute__((unused))

#define SK_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SK_MAX(a, b) ((a) > (b) ? (a) : (b))

#define sk_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - __builtin_offsetof(type, member)))

static inline void sk_freep(void *at)
{
	free(*(void **)at);
}

static inline void sk_closep(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
