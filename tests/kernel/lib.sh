# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For tests in a guest: tests/lib/cli.sh, and
#
#   stock_kernel, cloud_kernel   choose the guest's kernel; the test is skipped if there is none
#   tree_image                   makes image, an ext4 file system of some files with their SHA256SUMS
#   tree_erofs                   makes files/erofs and files/erofs.ovbd of the same files
#   $with_fio                    run-vm's options for guest/fio-verify.sh
#   $with_snapshotter            the same for guest/snapshotter.sh
#   guest SCRIPT OPTION...       runs tests/kernel/guest/SCRIPT there, with $ovbd, and with what is
#                                in ./files in the guest's /; the options are run-vm's
#   snapshots TRANSPORT OPTION...     of disks under fio: guest/snapshot.sh
#   daemon_kill TRANSPORT OPTION...   ovbdd killed under fio: guest/daemon-kill.sh, for $KILL_SECONDS
#   upper_kill TRANSPORT OPTION...    the same of writable layers, and until it was killed $KILLS times under fio:
#                                     guest/upper-kill.sh
#   grow "ID..." OPTION...            devices, by transport, that become larger: guest/grow.sh
. "${OVBD_SOURCE:?set OVBD_SOURCE to the source directory}/tests/lib/cli.sh"
. "$OVBD_SOURCE/tests/kernel/kernel.sh"

for tool in qemu-system-x86_64 busybox modprobe cpio xz strip fio; do
	PATH=$PATH:/sbin:/usr/sbin command -v $tool >/dev/null || skip "$tool is not installed"
done
[ "$(uname -m)" = x86_64 ] || skip "the kernels are x86-64 ones, and so must be the programs"
mkdir files
# shellcheck disable=SC2034 # for the scripts
with_fio="-b $(command -v fio || :) -r 1024" # its libraries are many
# shellcheck disable=SC2034 # for guest/snapshotter.sh
with_snapshotter="-b $OVBD_BUILD/tests/kernel/snapshotter"
# shellcheck disable=SC2034
tcmu_modules="target_core_user tcm_loop sd_mod ext4"

stock_kernel() {
	kernel_stock || skip "no kernel to boot"
}

cloud_kernel() {
	kernel_cloud || skip "no kernel to boot"
}

tree_image() {
	command -v mkfs.ext4 >/dev/null || skip "mkfs.ext4 is not installed"
	mkdir -p tree/dir
	head -c 3000000 /dev/urandom >tree/dir/large
	seq 5000 >tree/numbers
	head -c 700000 /dev/zero >tree/zeros
	for n in 1 2 3 4 5 6 7 8 9; do
		head -c $((n * 4099)) /dev/urandom >"tree/dir/$n"
	done
	(cd tree && find . -type f ! -name SHA256SUMS -exec sha256sum {} +) >sums
	mv sums tree/SHA256SUMS
	truncate -s 16M image
	mkfs.ext4 -q -d tree image
}

tree_erofs() {
	command -v mkfs.erofs >/dev/null || skip "mkfs.erofs is not installed"
	mkfs.erofs --quiet files/erofs tree
	truncate -s %4096 files/erofs
	"$ovbd" convert -q files/erofs files/erofs.ovbd
}

guest() {
	script=$1
	shift
	PATH=$PATH:/sbin:/usr/sbin RUN_VM_CACHE=$kernel_cache/vmlinux \
		"$OVBD_SOURCE/tests/kernel/run-vm" -k "$kernel_image" -R "$kernel_root" -b "$ovbd" \
		-f files -f "$OVBD_SOURCE/tests/kernel/guest" "$@" \
		"$OVBD_SOURCE/tests/kernel/guest/$script"
}

daemon_kill() {
	seconds=${KILL_SECONDS:-12}
	echo "$1 $seconds" >files/kill
	shift
	# shellcheck disable=SC2086 # several words
	guest daemon-kill.sh $with_fio -t $((seconds * 4 + 200)) -b "$OVBD_BUILD/daemon/ovbdd" "$@"
}

upper_kill() {
	command -v mkfs.ext4 >/dev/null || skip "mkfs.ext4 is not installed"
	seconds=${KILL_SECONDS:-10} kills=${KILLS:-3}
	echo "$1 $seconds $kills" >files/kill
	shift
	truncate -s 1G disk
	mkfs.ext4 -q disk
	# shellcheck disable=SC2086 # several words
	guest upper-kill.sh $with_fio $with_snapshotter -t $((seconds * 8 + kills * 20 + 500)) -b "$OVBD_BUILD/daemon/ovbdd" \
		-b "$OVBD_BUILD/tests/kernel/disk_storm" -b /bin/dd -d disk "$@"
}

grow() {
	[ -x "$OVBD_BUILD/tests/kernel/ovbdd_faults" ] || skip "ovbdd was not built"
	for tool in resize2fs e2fsck mkfs.ext4; do
		PATH=$PATH:/sbin:/usr/sbin command -v $tool >/dev/null || skip "$tool is not installed"
	done
	tree_image
	"$ovbd" convert -q image files/base.ovbd
	echo "$1" >files/grow
	shift
	# shellcheck disable=SC2086 # several words
	guest grow.sh $with_snapshotter -r 768 -t 450 -b "$OVBD_BUILD/daemon/ovbdd" -b "$OVBD_BUILD/tests/kernel/ovbdd_faults" \
		-b "$(PATH=$PATH:/sbin command -v resize2fs)" -b "$(PATH=$PATH:/sbin command -v e2fsck)" "$@"
}

snapshots() {
	seconds=${SNAPSHOT_SECONDS:-6}
	# the emulator may stand still for longer than a disk would
	echo "$1 $seconds ${SNAPSHOTS:-4} ${SNAPSHOT_LIMIT_MS:-2000} ${SNAPSHOT_FORMATS:-rw append sparse}" >files/snapshot
	shift
	# shellcheck disable=SC2086 # several words
	guest snapshot.sh $with_fio -r 1536 -t $((seconds * 20 + 400)) -b "$OVBD_BUILD/daemon/ovbdd" \
		-b "$OVBD_BUILD/tests/kernel/snapshot_writer" "$@"
}
