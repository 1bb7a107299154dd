#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mke2fs 1.47.0 does not look at SOURCE_DATE_EPOCH: with UUID and hash seed fixed, too, a file system has
# the time of its making in it. E2FSPROGS_FAKE_TIME is what this version heeds.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm e2fsprogs=1.47.0-2+b2
programs mke2fs dumpe2fs
cd "$work"
uuid=01234567-89ab-cdef-0123-456789abcdef

year() # image
{
	dumpe2fs -h "$1" 2>said | awk '/^Filesystem created:/ { print $NF }'
}

truncate -s 8M a b
env SOURCE_DATE_EPOCH=86400 mke2fs -q -t ext4 -U $uuid -E hash_seed=$uuid a
env E2FSPROGS_FAKE_TIME=86400 mke2fs -q -t ext4 -U $uuid -E hash_seed=$uuid b
expect "year of making with SOURCE_DATE_EPOCH=86400" "$(date +%Y)" "$(year a)"
expect "year of making with E2FSPROGS_FAKE_TIME=86400" 1970 "$(year b)"
finish
