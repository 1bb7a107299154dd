/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/** dts_compile() - the device tree that dtc makes of @source (without its "/dts-v1/;"); owned. */
void *dts_compile(const char *source, size_t *ret_len);

/** A release node that every manifest may begin with. */
#define DTS_RELEASE "release { project = \"p\"; version = \"1.0\"; compatible = \"acme,box\"; };"
