# shellcheck shell=dash
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest with TCMU: lib.sh, and
#
#   serve OPTION... FILE     starts tcmu_device; returns when it is listening; $server
#   tcmu_attach ID CONFIG    what the container snapshotter writes to attach a device, in its order;
#                            $disk is the disk's name (sda)
#   tcmu_detach ID
. /lib.sh

target=/sys/kernel/config/target
hba=$target/core/user_999999999

serve() {
	tcmu_device "$@" >$log 2>&1 &
	server=$!
	wait_for is_ready
}

is_ready() {
	kill -0 "$server" 2>/dev/null || fail "the server is gone"
	grep -q '^ready' $log
}

naa() {
	printf 'naa.199%013d' "$1"
}

disk_of() { # ADDRESS
	ls "/sys/class/scsi_device/$1:0/device/block" 2>/dev/null
}

has_disk() {
	disk=$(disk_of "$1") && [ -b "/dev/$disk" ]
}

tcmu_attach() {
	device=$hba/dev_$1
	mkdir -p "$device"
	echo -n "dev_config=$2" >"$device/control"
	echo -n max_data_area_mb=4 >"$device/control"
	echo -n 1 >"$device/enable" || return
	echo -n 2147483 >"$device/attrib/cmd_time_out"
	portal=$target/loopback/$(naa "$1")/tpgt_1
	mkdir -p "$portal/lun/lun_0"
	naa "$1" >"$portal/nexus"
	ln -s "$device" "$portal/lun/lun_0/dev_$1"
	address=$(cat "$portal/address")
	wait_for has_disk "$address"
	echo 2147483 >"/sys/block/$disk/device/timeout"
}

tcmu_detach() {
	portal=$target/loopback/$(naa "$1")/tpgt_1
	rm "$portal/lun/lun_0/dev_$1"
	rmdir "$portal/lun/lun_0" "$portal" "${portal%/tpgt_1}" "$hba/dev_$1"
}
