# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For tests/kernel/*-bow.sh, after lib.sh:
#
#   bow_guest TRANSPORT NAME MODULES   runs guest/bow.sh; the file system NAME gets the large package
. "$OVBD_SOURCE/tests/kernel/debs.sh"

bow_guest() {
	PATH=$PATH:/sbin:/usr/sbin
	for tool in mkfs.ext4 e2fsck mkfs.f2fs fsck.f2fs dpkg dpkg-deb; do
		command -v $tool >/dev/null || skip "$tool is not installed"
	done
	[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
	stock_kernel
	debs_pairs files/debs
	debs_root root files/root.tar
	rm -r files/debs/old
	echo "$1 $2" >files/bow
	set -- -m "$3 crc32_generic f2fs loop"
	for tool in mkfs.ext4 e2fsck mkfs.f2fs fsck.f2fs dpkg dpkg-deb dpkg-split tar ldconfig; do
		set -- "$@" -b "$(command -v $tool)"
	done
	guest bow.sh -r 1024 -t 500 -b "$OVBD_BUILD/daemon/ovbdd" "$@"
}
