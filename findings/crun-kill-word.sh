#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# crun 1.8.1 kill with a word that is no signal exits 0 and sends nothing: pass numbers, or check the word first.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || { echo "not tried: needs root, for a container in a mount namespace of its own"; exit 77; }
if [ "${1:-}" != inside ]; then
	exec unshare --mount --pid --fork --kill-child "$0" inside
fi
mount -t proc proc /proc
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup || cannot_try "no cgroup2 here"
fetch bookworm crun=1.8.1-1+deb12u1 busybox-static=1:1.35.0-4+deb12u1+b1
programs crun
crun --version | head -n 1
mkdir -p "$work"/bundle/rootfs/{proc,dev,sys} "$work/state"
cp "$root/bin/busybox" "$work/bundle/rootfs/"
cat >"$work/bundle/config.json" <<'END'
{ "ociVersion": "1.0.0", "root": { "path": "rootfs" },
  "process": { "args": ["/busybox", "sleep", "1000"], "cwd": "/", "user": { "uid": 0, "gid": 0 } },
  "mounts": [ { "destination": "/proc", "type": "proc", "source": "proc" } ],
  "linux": { "namespaces": [ { "type": "pid" }, { "type": "mount" } ] } }
END

in_state()
{
	crun --root "$work/state" "$@"
}

state()
{
	in_state state c | grep -o '"status": *"[a-z]*"' | cut -d '"' -f 4
}

in_state run --bundle "$work/bundle" --detach c </dev/null >"$work/said" 2>&1 || cat "$work/said"
expect "exit status of: kill c NOSUCHSIGNAL" 0 "$(status in_state kill c NOSUCHSIGNAL)"
expect "state afterwards" running "$(state)"
expect "exit status of: kill c 9" 0 "$(status in_state kill c 9)"
for _ in $(seq 100); do [ "$(state)" = running ] || break; sleep 0.1; done
expect "state afterwards" stopped "$(state)"
finish
