#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fw_setenv of libubootenv takes NAME VALUE NAME VALUE... and does not join the rest to one value: words that
# are not quoted set other variables, and a lone last word deletes that variable.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm libubootenv-tool=0.3.2-1
programs fw_setenv fw_printenv
truncate -s 64k "$work/env"
echo "$work/env 0x0 0x4000" >"$work/config"
printf 'bootargs=quiet\nro=kept\n' >"$work/default"

environment()
{
	fw_printenv -c "$work/config" | sort | paste -s -d ' '
}

fw_setenv -c "$work/config" -f "$work/default" other 1 >"$work/said" 2>&1
expect "before" "bootargs=quiet other=1 ro=kept" "$(environment)"
expect "exit status of: fw_setenv bootargs console=ttyS0 ro" 0 \
	"$(status fw_setenv -c "$work/config" bootargs console=ttyS0 ro)"
expect "after" "bootargs=console=ttyS0 other=1" "$(environment)"
expect "exit status of: fw_setenv bootargs a b c" 0 "$(status fw_setenv -c "$work/config" bootargs a b c)"
expect "after" "b=c bootargs=a other=1" "$(environment)"
finish
