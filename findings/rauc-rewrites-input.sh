#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# rauc bundle writes into the folder that it bundles: it adds digests and sizes to the manifest there, and RAUC 1.8
# drops [meta.*] sections, on disk as in the bundle. Bundle a copy, and keep such words elsewhere.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm rauc=1.8-2 squashfs-tools=1:4.5.1-1
programs rauc mksquashfs unsquashfs
cd "$work"
mkdir in
head -c 20000 /dev/urandom >in/rootfs.img
printf '%s\n' '[update]' compatible=x version=1 '[meta.own]' note=hello '[image.rootfs]' filename=rootfs.img \
	>in/manifest.raucm
openssl req -batch -newkey rsa:2048 -nodes -keyout key.pem -x509 -out cert.pem -subj /CN=dev 2>said

expect "exit status" 0 "$(status rauc --cert cert.pem --key key.pem bundle in out.raucb)"
expect "digests in the folder's own manifest" 1 "$(grep -c ^sha256= in/manifest.raucm)"
expect "the note is still there" no "$(yes_no grep note=hello in/manifest.raucm)"
finish
