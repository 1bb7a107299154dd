#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# With external data (-E) the place of an image is "data-offset", counted from the end of the tree; with -p as well it
# is "data-position", counted from the start of the file, and "data-offset" is not there. A reader needs both.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm u-boot-tools=2023.01+dfsg-2+deb12u3 device-tree-compiler=1.6.1-4+b1
programs mkimage dtc fdtget
fit_source '"kernel"' >"$work/a.its"
mkimage -E -B 0x1000 -f "$work/a.its" "$work/e.itb" >"$work/said" 2>&1
mkimage -E -B 0x1000 -p 0x1000 -f "$work/a.its" "$work/p.itb" >"$work/said" 2>&1

at() # image, property
{
	fdtget "$work/$1.itb" /images/kernel "$2" 2>/dev/null || echo none
}

expect "-E: data-offset, data-position" "0 none" "$(at e data-offset) $(at e data-position)"
expect "-E -p: data-offset, data-position" "none 4096" "$(at p data-offset) $(at p data-position)"
expect "-E: what stands there, from the end of the tree" hello "$(tail -c +4097 "$work/e.itb" | head -n 1)"
expect "-E -p: what stands there, from the start of the file" hello "$(tail -c +4097 "$work/p.itb" | head -n 1)"
finish
