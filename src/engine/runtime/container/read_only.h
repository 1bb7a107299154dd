/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/**
 * sk_read_only_program() - a path of a program through which it cannot be written
 * @run_dir: in memory; the program is mounted below it, read-only, anew for each daemon
 *
 * crun makes sure by itself that no capsule can write to it: unless it lies on a read-only mount, it
 * mounts itself at a new file in /tmp each time that it is run. That takes as long as all else that it
 * does to load, wakes programs that watch the mount table, and leaves the file behind when it is killed.
 *
 * Return: owned path; @path again where it is read-only already, or cannot be mounted; NULL: no memory
 */
char *sk_read_only_program(const char *run_dir, const char *path);
