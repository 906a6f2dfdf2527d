# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest, after lib.sh: what the container snapshotter does to attach and to detach
# an image by TCMU, write by write, with its time limits.
#
#   snapshotter_prepare ID [LAYER...]   its directory of a snapshot, $snapshot, with the image's
#                                       configuration, $config
#   snapshotter_attach ID CONFIG        $disk is the disk's name (sda); else its words are in
#                                       /tmp/snapshotter.ID; done by tests/kernel/snapshotter.c
#   snapshotter_detach ID
target=/sys/kernel/config/target
hba=$target/core/user_999999999

snapshotter_prepare() {
	snapshot=/var/snapshots/$1
	config=$snapshot/block/config.v1.json
	mkdir -p "$snapshot/fs" "$snapshot/block/mountpoint"
	: >"$snapshot/block/init-debug.log"
	shift
	lowers=
	for layer; do
		lowers="$lowers${lowers:+,}{\"file\":\"$layer\",\"dir\":\"$snapshot/fs\"}"
	done
	printf '{"repoBlobUrl":"","lowers":[%s],"upper":{},"resultFile":"%s"}' "$lowers" \
		"$snapshot/block/init-debug.log" >"$config"
	chmod 600 "$config"
}

snapshotter_attach() { # ID CONFIG
	snapshotter "$1" "$2" >"/tmp/attached.$1" 2>"/tmp/snapshotter.$1" || return
	read -r _ disk _ <"/tmp/attached.$1"
}

snapshotter_detach() {
	portal=$target/loopback/$(printf 'naa.199%013d' "$1")/tpgt_1
	rm "$portal/lun/lun_0/dev_$1" && rmdir "$portal/lun/lun_0" "$portal" "${portal%/tpgt_1}" &&
		rmdir "$hba/dev_$1"
}
