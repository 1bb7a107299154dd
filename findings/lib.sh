# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the scripts beside it: a pinned Debian package with all that it needs in a folder of its own, nothing installed.
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC
unset SOURCE_DATE_EPOCH LD_LIBRARY_PATH

work=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
root=$work/root  # the unpacked packages
arch=$(dpkg --print-architecture)
libs=$root/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")

# The finding cannot be tried here: neither as stated nor otherwise.
cannot_try()
{
	echo "not tried: $*"
	exit 77
}

# "deb" line of suite $2 from this machine's own Debian mirror, of the kind that $1 (a pattern) matches; nothing when
# this machine has none.
source_line()
{
	local found
	# shellcheck disable=SC2016 # apt's own variables
	found=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | grep -m 1 "$1") || return 0
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $found $2 main"
}

# apt with lists of its own: of one suite, as if nothing were installed.
private_apt()
{
	apt-get -qq -o Dir::Etc="$lists/etc" -o Dir::State="$lists/state" -o Dir::State::status="$lists/status" \
		-o Dir::Cache="$lists/cache" -o APT::Sandbox::User=root -o APT::Install-Recommends=no \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" "$@"
}

# fetch SUITE PACKAGE=VERSION...: into $root, with their dependencies of that suite
fetch()
{
	local suite=$1 deb
	shift
	lists=${FINDINGS_LISTS:-$work/lists}/$suite
	mkdir -p "$lists"/{etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d,state/lists/partial,cache/archives/partial}
	: >"$lists/status"
	{
		source_line '/debian/$' "$suite"
		source_line 'security/$' "$suite-security"
	} >"$lists/etc/sources.list"
	[ -e "$lists/updated" ] || private_apt update || cannot_try "no package lists of $suite from the mirror"
	: >"$lists/updated"
	echo "packages of Debian $suite: $*"
	rm -f "$lists"/cache/archives/*.deb
	private_apt install --download-only -y "$@" >"$work/apt.log" 2>&1 || {
		grep -q "^E: Version .* was not found" "$work/apt.log" || tail -n 5 "$work/apt.log"
		cannot_try "the mirror no longer has $*"
	}
	mkdir -p "$root"
	for deb in "$lists"/cache/archives/*.deb; do
		dpkg --fsys-tarfile "$deb" | tar -x -C "$root" --no-same-owner
	done
}

# programs NAME...: those of the unpacked packages, with their own C library, under their own names
programs()
{
	local name file loader
	loader=$(find "$root"/{,usr/}lib{,64} -name 'ld-linux*.so.*' -print -quit 2>/dev/null || true)
	mkdir -p "$work/bin"
	for name in "$@"; do
		file=$(find "$root"/{,usr/}{,s}bin -name "$name" -print -quit 2>/dev/null || true)
		printf '#!/bin/sh\nexec %s --library-path %s:%s %s "$@"\n' \
			"$loader" "$libs" "$root/usr${libs#"$root"}" "$file" >"$work/bin/$name"
		chmod +x "$work/bin/$name"
	done
	PATH=$work/bin:$PATH
}

# status COMMAND...: prints its exit status; what it said is in $work/said
status()
{
	local code=0
	"$@" >"$work/said" 2>&1 || code=$?
	echo "$code"
}

bad=0
# expect WHAT STATED SEEN: prints both; the script fails in the end when they differ
expect()
{
	echo "  $1"
	echo "    stated: $2"
	echo "    seen:   $3"
	[ "$2" = "$3" ] || bad=1
}

# yes_no COMMAND...: whether it succeeds
yes_no()
{
	if "$@" >/dev/null 2>&1; then echo yes; else echo no; fi
}

# same FILE FILE: "equal" or "different"
same()
{
	if cmp -s "$1" "$2"; then echo equal; else echo different; fi
}

# fit_source NAMES: the source of a FIT with one kernel, whose configuration signs the quoted NAMES with the key "dev"
fit_source()
{
	echo hello >"$work/kernel"
	cat <<-END
		/dts-v1/;
		/ {
			description = "example";
			images { kernel {
				description = "kernel"; data = /incbin/("$work/kernel"); type = "kernel"; arch = "arm64";
				os = "linux"; compression = "none"; load = <0>; entry = <0>;
				hash { algo = "sha256"; };
			}; };
			configurations { default = "conf"; conf {
				description = "conf"; kernel = "kernel";
				signature { algo = "sha256,rsa2048"; key-name-hint = "dev"; sign-images = $1; };
			}; };
		};
	END
}

finish()
{
	[ $bad = 0 ] || { echo "this is not so any more"; exit 1; }
	exit 0
}
