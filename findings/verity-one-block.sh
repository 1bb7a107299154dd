#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# veritysetup of one block without a salt makes no tree: the root hash is the SHA-256 of the block itself, and the
# hash file has nothing but its header. Code that expects at least one hash block fails on the smallest image.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm cryptsetup-bin=2:2.6.1-4~deb12u2
programs veritysetup
for n in 1 2; do
	head -c $((n * 4096)) /dev/zero >"$work/data$n"
	veritysetup format --salt=- "$work/data$n" "$work/hash$n" >"$work/format$n"
done

expect "root hash of one block" "$(sha256sum <"$work/data1" | cut -d ' ' -f 1)" \
	"$(awk '/^Root hash:/ { print $3 }' "$work/format1")"
expect "size of the hash file of one block" 4096 "$(stat -c %s "$work/hash1")"
expect "size of the hash file of two blocks" 8192 "$(stat -c %s "$work/hash2")"
finish
