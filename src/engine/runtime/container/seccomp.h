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

/**
 * sk_seccomp_filter - the same, compiled when Skerry was built: base64 of a BPF program
 * crun loads it as it is when it stands in the annotation below, which spares each start several ms of
 * compiling. The profile stays in the configuration too, for a runtime that does not know the
 * annotation: no capsule ever runs without one of them.
 */
extern const char sk_seccomp_filter[];
#define SK_SECCOMP_ANNOTATION "run.oci.seccomp_bpf_data"
