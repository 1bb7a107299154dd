/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "store/store.h"

#define SK_BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

/*
 * Was the machine restarted since the daemon last ran, or only the daemon? The kernel's boot id
 * is compared with the one on record. Order at start: sk_boot_id_changed(), then
 * sk_generations_boot(), then, only if that succeeded, sk_boot_id_keep(): after a power cut between the last
 * two, the next start counts another boot. So a boot may be counted twice, and is never left out.
 */

/**
 * sk_boot_id_changed() - has the machine been restarted?
 * @path: SK_BOOT_ID_PATH, or a file of a virtual device's own
 * An id that cannot be read is a new one: ephemeral releases end, boots are counted.
 */
int sk_boot_id_changed(struct sk_store *s, const char *path, bool *ret, struct sk_err *err);
/** sk_boot_id_keep() - record the present one. */
int sk_boot_id_keep(struct sk_store *s, const char *path, struct sk_err *err);
