#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# genimage draws the GUID of a GPT anew in each run, also when each partition has its UUID: two runs differ until the
# disk has a disk-uuid.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm genimage=16-2
programs genimage
cd "$work"
mkdir in tree
head -c 8192 /dev/zero >in/part.bin

image() # name, further line
{
	cat >"$1.cfg" <<-END
		image disk.img {
			hdimage { partition-table-type = "gpt" $2 }
			partition a { image = "part.bin" partition-uuid = "01234567-89ab-cdef-0123-456789abcdef" }
		}
	END
	for n in 1 2; do
		genimage --config "$1.cfg" --rootpath tree --tmppath tmp --inputpath in --outputpath "$1$n" >said 2>&1
		rm -rf tmp
	done
}

image plain ''
image fixed 'disk-uuid = "fedcba98-7654-3210-fedc-ba9876543210"'
expect "two images whose partition has a UUID" different "$(same plain1/disk.img plain2/disk.img)"
expect "two images whose disk has one too" equal "$(same fixed1/disk.img fixed2/disk.img)"
finish
