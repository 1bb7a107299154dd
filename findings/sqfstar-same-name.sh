#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Of two files of one name in an archive, sqfstar keeps the first and exits 0; tar, which appends a newer version of a
# file with -r, leaves the last one on disk.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm squashfs-tools=1:4.5.1-1
programs sqfstar unsquashfs
cd "$work"
mkdir old new out
echo old >old/file
echo new >new/file
tar -C old -cf in.tar file
tar -C new -rf in.tar file

expect "exit status of sqfstar" 0 "$(status sqfstar image.sqfs <in.tar)"
expect "the file in the image" old "$(unsquashfs -cat image.sqfs file)"
tar -C out -xf in.tar
expect "the file that tar leaves" new "$(cat out/file)"
finish
