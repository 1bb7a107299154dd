/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "model/manifest.h"

/**
 * sk_sizes_add() - how large a manifest's images are
 * @sizes: digest in hex -> uint64_t, which the map frees; the first size of a digest stays
 * Return: 0 or -ENOMEM
 */
int sk_sizes_add(struct sk_map *sizes, const struct sk_manifest *m);
