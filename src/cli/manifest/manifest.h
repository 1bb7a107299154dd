/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "cli/cmd.h"
#include "model/manifest.h"

extern const struct sk_cmd sk_cmd_manifest;

/**
 * sk_manifest_load_file() - a manifest from source (.dts), a Compose file (.yaml, .yml) or a device
 * tree (.dtb, known by its content), compiled and checked
 * @ret_dtb: the device tree, owned by the caller
 * Return: 0, or -errno; the sentence begins with FILE:LINE of the first mistake ("bad-manifest")
 */
int sk_manifest_load_file(const char *path, void **ret_dtb, size_t *ret_len,
			  struct sk_manifest **ret, struct sk_err *err);
