# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For tests of `ovbd apply`: tests/lib/cli.sh, and
#
#   need_root                skips the test where nothing can be mounted
#   mounted DIR LAYER...     the file system of a stack, without a complaint of e2fsck, at DIR, read-only
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

# shellcheck disable=SC2034 # for the scripts
lib=$OVBD_SOURCE/tests/lib

need_root() {
	[ "$(id -u)" = 0 ] || skip "not root: cannot mount, and cannot make devices and owners to compare with"
}

mounted() {
	at=$1
	shift
	"$ovbd" convert -q --force -O raw "$@" "$at.raw"
	e2fsck -fn "$at.raw" >fsck.out 2>&1 || {
		cat fsck.out
		fail "e2fsck of $*"
	}
	mkdir -p "$at"
	mount -o loop,ro "$at.raw" "$at"
}
