/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/**
 * sk_landlock_write_below() - from here on this process may change files below @dir alone, with NULL none
 * @program_fd: one more file that may be run, wherever it lies; -1 for none
 * It may read below @dir and what programs need (/usr, /lib, /etc …), nothing else by name; descriptors
 * that are open stay good. Needs no_new_privs. A kernel without Landlock leaves things as they are.
 * Return: 0 or -errno
 */
int sk_landlock_write_below(const char *dir, int program_fd);
