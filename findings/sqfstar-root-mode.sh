#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sqfstar gives the root folder mode 0777, whatever the archive says of "./": a root file system made that way lets
# everybody write to "/". -root-mode is how to say otherwise.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm squashfs-tools=1:4.5.1-1
programs sqfstar unsquashfs
cd "$work"
mkdir in
echo hello >in/file
chmod 755 in
tar -C in -cf in.tar .

root_mode() # image
{
	unsquashfs -lls "$1" | awk '$NF == "squashfs-root" { print $1 }'
}

sqfstar plain.sqfs <in.tar >said 2>&1
sqfstar -root-mode 0755 told.sqfs <in.tar >said 2>&1
expect "the root folder in the archive" drwxr-xr-x "$(tar -tvf in.tar | awk '$NF == "./" { print $1 }')"
expect "the root folder in the image" drwxrwxrwx "$(root_mode plain.sqfs)"
expect "the same with -root-mode 0755" drwxr-xr-x "$(root_mode told.sqfs)"
finish
