#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mksquashfs takes the time of an image from SOURCE_DATE_EPOCH or from an option: with both, even if they say the same,
# it stops. A build that exports the variable for other tools has to unset it, or leave the option out.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm squashfs-tools=1:4.5.1-1
programs mksquashfs
cd "$work"
mkdir in
echo hello >in/file

expect "exit status with the variable" 0 "$(status env SOURCE_DATE_EPOCH=1000 mksquashfs in a.sqfs)"
expect "exit status with the option" 0 "$(status mksquashfs in b.sqfs -mkfs-time 1000)"
expect "exit status with both" 1 "$(status env SOURCE_DATE_EPOCH=1000 mksquashfs in c.sqfs -mkfs-time 1000)"
expect "it says why" yes "$(yes_no grep 'SOURCE_DATE_EPOCH and command line options' said)"
finish
