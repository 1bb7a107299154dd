/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Which system calls a capsule may make: pure tables, read by the profile in words (seccomp.c) and
 * by the program that compiles them when Skerry is built (seccomp_compile.c). A list ends with NULL.
 * What stands in none of them is unknown to a capsule: ENOSYS, so that C libraries fall back.
 */
extern const char *const sk_seccomp_allowed[];
/** For administrators only: EPERM */
extern const char *const sk_seccomp_refused[];
/** Its flags lie in memory where no filter sees them; C libraries fall back to clone: ENOSYS */
#define SK_SECCOMP_UNKNOWN "clone3"

enum sk_seccomp_test {
	SK_SECCOMP_IS,
	SK_SECCOMP_BELOW,
	SK_SECCOMP_NONE_OF, /* no bit of the value is set */
};

/** struct sk_seccomp_condition - a call that is allowed when its first argument passes @test */
struct sk_seccomp_condition {
	const char *name;
	enum sk_seccomp_test test;
	uint64_t value;
};

/** Ends with a name of NULL. */
extern const struct sk_seccomp_condition sk_seccomp_conditions[];
