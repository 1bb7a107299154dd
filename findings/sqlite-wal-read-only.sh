#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A WAL database that was closed cleanly has no -wal and -shm beside it, and whoever may not make them cannot read it:
# in a read-only folder a SELECT ends with "attempt to write a readonly database". Copies leave WAL mode first.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

fetch bookworm sqlite3=3.40.1-2+deb12u2
programs sqlite3
cd "$work"
mkdir wal plain
chmod 755 "$work"
sqlite3 wal/db 'PRAGMA journal_mode=WAL; CREATE TABLE t (n); INSERT INTO t VALUES (7);' >said
cp wal/db plain/db
sqlite3 plain/db 'PRAGMA journal_mode=DELETE;' >said
chmod 555 wal plain
chmod 444 wal/db plain/db

# Root may write to any folder: as somebody else.
reader=()
[ "$(id -u)" != 0 ] || reader=(setpriv --reuid 65534 --regid 65534 --clear-groups)
read_it()
{
	"${reader[@]}" "$work/bin/sqlite3" "$1/db" 'SELECT n FROM t;' 2>&1
}

expect "files beside the database after it was closed" db "$(ls wal)"
expect "reading it" "Error: in prepare, attempt to write a readonly database (8)" "$(read_it wal)"
expect "reading a copy that left WAL mode" 7 "$(read_it plain)"
finish
