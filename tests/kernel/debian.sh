# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For tests in a guest that is a Debian, after lib.sh:
#
#   debian_tree DIR   a minimal Debian with systemd, unpacked there; the test is skipped if there is none
#
# It is made once, from the system's mirror, and kept with the kernels.
debian_tar=$kernel_cache/debian-systemd.tar

debian_make() {
	[ ! -s "$debian_tar" ] || return 0
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(IDENTIFIER)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' |
		awk -F'|' '$1 == "Packages" && $2 == "Debian" && $4 ~ /^bookworm/ { print "deb", $3, $4, $5 }' |
		sort -u >sources.list
	[ -s sources.list ] || return
	mmdebstrap --quiet --variant=minbase --include=systemd-sysv bookworm - sources.list >"$debian_tar.new" &&
		mv "$debian_tar.new" "$debian_tar"
}

debian_tree() {
	[ "$(id -u)" = 0 ] || skip "making a Debian needs root"
	command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"
	kernel_locked debian_make >mmdebstrap.log 2>&1 || skip "no Debian to boot: $(tail -n 1 mmdebstrap.log)"
	mkdir "$1"
	tar -xf "$debian_tar" -C "$1"
}
