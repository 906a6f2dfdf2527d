# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest, after lib.sh: what the container snapshotter does to attach and to detach
# an image by TCMU, write by write, with its time limits.
#
#   snapshotter_prepare ID [LAYER...]   its directory of a snapshot, $snapshot, with the image's
#                                       configuration, $config
#   snapshotter_attach ID CONFIG        $disk is the disk's name (sda); else its words are in
#                                       /tmp/snapshotter.ID. Its parts: snapshotter_make,
#                                       snapshotter_enable, snapshotter_link
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

snapshotter_naa() {
	printf 'naa.199%013d' "$1"
}

snapshotter_fails() { # ID WORDS
	echo "$2" >"/tmp/snapshotter.$1"
	return 1
}

# EAGAIN: again after 50 ms, 100 times at most; EINTR: again, as Go's library does; anything else is
# the end.
snapshotter_enable() {
	tries=0
	until echo -n 1 2>"/tmp/snapshotter.$1" >"$hba/dev_$1/enable"; do
		! grep -q 'Interrupted' "/tmp/snapshotter.$1" || continue
		grep -q 'temporarily unavailable' "/tmp/snapshotter.$1" || return
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return
		usleep 50000
	done
}

snapshotter_disk() { # ADDRESS
	disk=$(ls "/sys/class/scsi_device/$1:0/device/block" 2>/dev/null) &&
		echo -n 2147483 2>/dev/null >"/sys/block/$disk/device/timeout"
}

snapshotter_make() { # ID CONFIG
	mkdir -p "$hba/dev_$1"
	echo -n "dev_config=overlaybd/$2" >"$hba/dev_$1/control"
	echo -n max_data_area_mb=4 >"$hba/dev_$1/control"
}

snapshotter_attach() {
	snapshotter_make "$1" "$2"
	snapshotter_enable "$1" || return
	snapshotter_link "$1"
}

snapshotter_link() { # ID
	id=$1 device=$hba/dev_$1
	echo -n 2147483 >"$device/attrib/cmd_time_out"
	portal=$target/loopback/$(snapshotter_naa "$id")/tpgt_1
	mkdir -p "$portal/lun/lun_0"
	echo -n "$(snapshotter_naa "$id")" >"$portal/nexus"
	ln -s "$device" "$portal/lun/lun_0/dev_$id"
	address=$(cat "$portal/address")
	tries=0
	until snapshotter_disk "$address"; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] || {
			snapshotter_fails "$id" "no block device after 50 tries"
			return
		}
		usleep 10000
	done
	echo "/dev/$disk" >"/var/snapshots/$id/block/backstore_mark"
	# is it erofs? no answer means no
	dd if="/dev/$disk" bs=1 skip=1024 count=4 2>/dev/null >"/tmp/magic.$id" || :
}

snapshotter_detach() {
	portal=$target/loopback/$(snapshotter_naa "$1")/tpgt_1
	rm "$portal/lun/lun_0/dev_$1" && rmdir "$portal/lun/lun_0" "$portal" "${portal%/tpgt_1}" &&
		rmdir "$hba/dev_$1"
}
