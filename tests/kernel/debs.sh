# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For tests in a guest that upgrade packages, after lib.sh:
#
#   debs_pairs DIR   DIR/old and DIR/new have the least and the greatest version that there is of some Debian
#                    packages, without scripts; the test is skipped if there are none
#   debs_root DIR TAR    the old ones, installed by dpkg in a root that has nothing else, as a tar
#
# They come from the system's mirror, and are kept with the kernels.
# shellcheck disable=SC2154 # kernel.sh has kernel_cache
debs_names="linux-libc-dev libexpat1 bind9-host"

# debs_versions NAME: two lines
debs_versions() {
	apt-cache madison "$1" | awk '{ print $3 }' | sort -uV | sed -n '1p;$p'
}

debs_fetch() (
	for name in $debs_names; do
		# shellcheck disable=SC2046 # words
		set -- $(debs_versions "$name")
		[ $# = 2 ] || { echo "there is one version of $name" && exit 1; }
		! cmp -s "$kernel_cache/debs/$name" - <<-EOF || continue
			$*
		EOF
		rm -rf "$kernel_cache/debs.new"
		for which in old new; do
			mkdir -p "$kernel_cache/debs.new" "$kernel_cache/debs/$which"
			(cd "$kernel_cache/debs.new" && apt-get download -q "$name=$1") || exit
			mv "$kernel_cache"/debs.new/*.deb "$kernel_cache/debs/$which/$name.deb"
			version=$1
			shift
			set -- "$@" "$version"
		done
		echo "$*" >"$kernel_cache/debs/$name"
	done
)

debs_fetch_or_update() {
	debs_fetch || { [ "$(id -u)" = 0 ] && apt-get update -q && debs_fetch; }
}

debs_pairs() {
	kernel_locked debs_fetch_or_update >debs.log 2>&1 || skip "no packages to upgrade: $(tail -n 1 debs.log)"
	mkdir -p "$1"
	cp -a "$kernel_cache/debs/old" "$kernel_cache/debs/new" "$1"
}

debs_root() {
	[ "$(id -u)" = 0 ] || skip "installing packages needs root"
	mkdir -p "$1/var/lib/dpkg/updates" "$1/var/lib/dpkg/info" "$1/var/lib/dpkg/triggers"
	: >"$1/var/lib/dpkg/status"
	dpkg --root="$1" --force-depends --force-unsafe-io -i "$kernel_cache"/debs/old/*.deb >dpkg.log 2>&1 ||
		fail "dpkg: $(cat dpkg.log)"
	tar -C "$1" -cf "$2" .
}
