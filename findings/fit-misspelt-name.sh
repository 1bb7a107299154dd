#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A name in sign-images that the configuration does not have is left out of the signature without a word; only
# "hashed-nodes" of the result shows what was really signed.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm u-boot-tools=2023.01+dfsg-2+deb12u3 device-tree-compiler=1.6.1-4+b1
programs mkimage dtc fdtget
fit_source '"kernel", "ramdsik"' >"$work/a.its"
mkdir "$work/keys"
openssl req -batch -newkey rsa:2048 -nodes -keyout "$work/keys/dev.key" -x509 -out "$work/keys/dev.crt" \
	-subj /CN=dev 2>"$work/said"

expect "exit status" 0 "$(status mkimage -f "$work/a.its" -k "$work/keys" "$work/a.itb")"
expect "the misspelt name is in what it says" no "$(yes_no grep ramdsik "$work/said")"
expect "nodes that were signed" "/ /configurations/conf /images/kernel /images/kernel/hash" \
	"$(fdtget "$work/a.itb" /configurations/conf/signature hashed-nodes)"
finish
