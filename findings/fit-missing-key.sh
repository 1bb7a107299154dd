#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mkimage says on stderr that the signing key is not there, writes the image without a signature, and exits 0:
# whoever builds in a script has to look for the "value" of each signature node.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm u-boot-tools=2023.01+dfsg-2+deb12u3 device-tree-compiler=1.6.1-4+b1
programs mkimage dtc fdtget
fit_source '"kernel"' >"$work/a.its"
mkdir "$work/keys"

expect "exit status without a key" 0 "$(status mkimage -f "$work/a.its" -k "$work/keys" "$work/a.itb")"
expect "the image was written" yes "$(yes_no test -s "$work/a.itb")"
expect "its signature node has a value" no "$(yes_no fdtget "$work/a.itb" /configurations/conf/signature value)"
finish
