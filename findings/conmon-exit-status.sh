#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# conmon goes to the background before it runs "create": its exit status is 0 even if the runtime refused. What became
# of the container is only told through the descriptor in _OCI_SYNCPIPE.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm conmon=2.1.6+ds1-1
programs conmon
conmon --version | head -n 1
cd "$work"
mkdir bundle
echo '{}' >bundle/config.json
printf '#!/bin/sh\necho "no, thanks" >&2\nexit 1\n' >runtime
chmod +x runtime
mkfifo sync
cat sync >told &

# shellcheck disable=SC2317 # called by status
run_conmon()
{
	env _OCI_SYNCPIPE=3 conmon --cid c --cuuid c -r "$work/runtime" -b "$work/bundle" -l "k8s-file:$work/log" \
		-p "$work/pid" --socket-dir-path "$work" 3>sync
}

expect "exit status when create failed" 0 "$(status run_conmon)"
wait
expect "what the sync pipe was told" '{"pid": -1, "message": "no, thanks\n"}' "$(tr -d '\n' <told)"
finish
