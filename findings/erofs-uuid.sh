#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mkfs.erofs -T fixes every time, yet two runs differ: the volume's UUID is drawn anew unless -U gives one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm erofs-utils=1.5-1
programs mkfs.erofs
mkdir "$work/in"
echo hello >"$work/in/file"

for n in 1 2; do
	mkfs.erofs -T 1 "$work/t$n" "$work/in" >"$work/said" 2>&1
	mkfs.erofs -T 1 -U 01234567-89ab-cdef-0123-456789abcdef "$work/u$n" "$work/in" >"$work/said" 2>&1
done
expect "two images made with -T" different "$(same "$work/t1" "$work/t2")"
expect "two images made with -T and -U" equal "$(same "$work/u1" "$work/u2")"
finish
