/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/**
 * sk_loop_attach() - a read-only loop device over a part of a file
 * @offset: multiple of 512; @size: bytes, rounded up to 512
 * @ret_path: "/dev/loop7", at least 32 bytes
 * The device goes away by itself with its last user: keep the descriptor until it is mounted.
 * Return: descriptor of the device, owned by the caller, or -errno
 */
int sk_loop_attach(int fd, uint64_t offset, uint64_t size, char ret_path[static 32]);
