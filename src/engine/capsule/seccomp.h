/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/**
 * sk_seccomp_profile() - the system calls that a capsule may make, as an OCI "seccomp" object
 * Everything that is not named is unknown to the capsule (ENOSYS, so that C libraries fall back);
 * what only an administrator needs is refused (EPERM). Reference: docs/reference/capsules.md
 * Return: new reference; NULL without memory
 */
json_t *sk_seccomp_profile(void);
