#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /snapshotter.sh
layer=/snapshots/1/fs/overlaybd.commit
digest=sha256:$(sha256sum $layer | cut -d' ' -f1)
size=$(wc -c <$layer)
mkdir -p /var/log
ln -s ovbdd /bin/overlaybd-tcmu
ovbdd=overlaybd-tcmu
log=/var/log/overlaybd.log # also of what it says on standard error
: >$log
busybox httpd -p 127.0.0.1:80 -h /www -c /httpd.conf

# configure ID LOWERS MORE: the image configuration that the snapshotter writes
configure() {
	snapshotter_prepare "$1"
	printf '{"repoBlobUrl":"%s","lowers":[%s],"upper":{},"resultFile":"%s"%s}' "${repo-}" "$2" \
		"$snapshot/block/init-debug.log" "${3-}" >"$config"
}

result() {
	cat "$snapshot/block/init-debug.log"
}

start_daemon
grep -q 'of no effect in this version: .*registryFsVersion' $log ||
	fail "the configuration: $(cat $log)"

base="{\"digest\":\"$digest\",\"size\":$size,\"dir\":\"/snapshots/1/fs\"}"
delta='{"dir":"/snapshots/2/fs"}'
configure 1 "$base,$delta"
snapshotter_attach 1 "$config" || fail "attach: $(cat /tmp/snapshotter.1)"
[ "$(result)" = success ] || fail "the result: $(result)"
cmp "/dev/$disk" /upper || fail "the disk differs"
mount -t ext4 -o ro,discard "/dev/$disk" "$snapshot/block/mountpoint"
(cd "$snapshot/block/mountpoint" && sha256sum -c /sums) >/tmp/sums || fail "$(cat /tmp/sums)"
ok "a snapshot of two layers: $(wc -l </sums) files are right"

repo=http://127.0.0.1/v2/app/blobs
configure 2 "{\"digest\":\"$digest\",\"size\":$size,\"dir\":\"/nowhere/fs\"},$delta,{\"dir\":\"/snapshots/3/fs\"}" \
	',"accelerationLayer":true,"recordTracePath":"/tmp/trace","download":{"enable":true}'
snapshotter_attach 2 "$config" || fail "attach: $(cat /tmp/snapshotter.2)"
cmp "/dev/$disk" /upper || fail "the disk of a registry differs"
key="recordTracePath (beside accelerationLayer)"
[ "$(grep -c "image configuration: $key has no effect" $log)" = 1 ] || fail "$key is not named once"
snapshotter_detach 2
ok "from a registry, with every key"

if [ -e /sealed ]; then
	configure 3 '{"file":"/sealed"}'
	snapshotter_attach 3 "$config" || fail "attach: $(cat /tmp/snapshotter.3)"
	[ "$(sha256sum <"/dev/$disk" | cut -d' ' -f1)" = "$(cat /sealed.sha256)" ] || fail "a sealed file differs"
	snapshotter_detach 3
	ok "a sealed layer of the original's"
fi

wget -qO- http://127.0.0.1:9863/metrics >/tmp/metrics || fail "no metrics"
grep -q '^OverlayBD_Alive{node=".*"} 1$' /tmp/metrics || fail "$(cat /tmp/metrics)"
grep -q '^OverlayBD_Count{node=".*",type="pread",mode=""} [1-9]' /tmp/metrics || fail "$(cat /tmp/metrics)"
grep -q '^ovbd_device_up{id="user_999999999.dev_1",transport="tcmu"' /tmp/metrics || fail "$(cat /tmp/metrics)"
grep -q 'device user_999999999.dev_1: serving' /var/log/overlaybd-audit.log || fail "no audit"
ok "metrics, log, audit"

# refused ID ERRNO WORDS: enable fails with the errno's text, and the result file says why.
refused() {
	if snapshotter_attach "$1" "$config"; then fail "attached: $3"; fi
	grep -q "$2" "/tmp/snapshotter.$1" || fail "$3: $(cat "/tmp/snapshotter.$1")"
	[ -z "$3" ] || result | grep -q "^failed:.*$3" || fail "the result, not '$3': $(result)"
	rmdir "$hba/dev_$1"
	ok "$2: $(result)"
}

configure 11 '{"file":"/gone","dir":"/nowhere"}'
refused 11 'No such file or directory' 'lowers\[0\]: /gone does not exist'
head -c 30000 /snapshots/1/fs/overlaybd.commit >/tmp/damaged
configure 12 '{"file":"/tmp/damaged"}'
refused 12 'Bad message' '/tmp/damaged'
configure 13 "$base,$delta" ',"download":{"enable":yes}'
refused 13 'Bad message' ''
grep -q "dev_13: .*config.v1.json: line 1" $log || fail "no line and column: $(tail $log)"
repo=http://127.0.0.1:1/v2/app/blobs
configure 14 "{\"digest\":\"$digest\",\"size\":$size}"
refused 14 'Input/output error' '127.0.0.1:1/v2/app/blobs/sha256:.*Failed to connect'
nc -ll -p 81 -e sleep 60 &
repo=http://127.0.0.1:81/v2/app/blobs
configure 21 "{\"digest\":\"$digest\",\"size\":$size}"
refused 21 'Connection timed out' '127.0.0.1:81/v2/app/blobs/sha256:'
repo=http://127.0.0.1/v2/denied/blobs
configure 15 "{\"digest\":\"$digest\",\"size\":$size}"
refused 15 'Permission denied' '401 Unauthorized'
mkdir -p /opt/overlaybd
echo '{"auths": {"127.0.0.1/denied": {"auth": "dXNlcjpnZWhlaW00Mg=="}}}' >/opt/overlaybd/cred.json
configure 22 "{\"digest\":\"$digest\",\"size\":$size},$delta"
snapshotter_attach 22 "$config" || fail "with credentials: $(cat /tmp/snapshotter.22)"
cmp "/dev/$disk" /upper || fail "with credentials: the disk differs"
snapshotter_detach 22
! grep -q geheim $log || fail "a password in the log"
! ovbd status user_999999999.dev_22 2>/dev/null | grep geheim || fail "a password is shown"
ok "with the credentials that have come meanwhile"
repo=http://127.0.0.1/v2/gone/blobs
configure 16 "{\"digest\":\"$digest\",\"size\":$size}"
refused 16 'No such file or directory' '404'
repo=http://127.0.0.1/v2/app/blobs
configure 17 "{\"digest\":\"$digest\",\"size\":3}"
refused 17 'Bad message' "is $size bytes, but the configuration says 3"
configure 18 "$base" ',"x":0'
sed 's/"upper":{}/"upper":{"index":"i","data":"d"}/' "$config" >/tmp/config
cp /tmp/config "$config"
refused 18 'No such file or directory' 'block/d: No such file or directory'
configure 19 "{\"dir\":\"/snapshots/1/fs\",\"targetDigest\":\"$digest\"}"
refused 19 'not supported' 'lowers\[0\].targetDigest: a turboOCI'
configure 20 "$base,$delta"
sed 's,"resultFile":"[^"]*","resultFile":"relative.log",' "$config" >/tmp/config
cp /tmp/config "$config"
snapshotter_attach 20 "$config" || fail "attach: $(cat /tmp/snapshotter.20)"
[ "$(cat "$snapshot/block/relative.log")" = success ] || fail "a relative result file"
snapshotter_detach 20

# A snapshot of its own that a container writes to (rwMode dir): by both formats of the original.
writes() { # NAME HOW...
	name=$1
	shift
	dd if=/dev/urandom of="$mountpoint/$name" bs=4k count=64 "$@" 2>/dev/null || fail "dd $name"
	(cd "$mountpoint" && sha256sum "$name") >>/tmp/written
}
are_right() {
	(cd "$mountpoint" && sha256sum -c /tmp/written) >/tmp/checked || fail "$1: $(grep -v OK /tmp/checked)"
}
is_a_layer() { # ID WHAT: of snapshot $id, over the others
	configure "$1" "$base,$delta,{\"dir\":\"$fs\"}"
	snapshotter_attach "$1" "$config" || fail "$2: $(cat "/tmp/snapshotter.$1")"
	mountpoint=$snapshot/block/mountpoint
	mount -t ext4 -o ro "/dev/$disk" "$mountpoint"
	are_right "$2"
	umount "$mountpoint"
	snapshotter_detach "$1" || fail "detach"
	ok "$2"
}
ln -s ovbd /bin/overlaybd-commit
for id in 4 5; do
	configure $id "$base,$delta"
	files="\"index\":\"/snapshots/$id/fs/writable_index\",\"data\":\"/snapshots/$id/fs/writable_data\""
	sed "s|\"upper\":{}|\"upper\":{$files,\"vsize\":64}|" "$config" >/tmp/config
	cp /tmp/config "$config"
	: >/tmp/written
	snapshotter_attach $id "$config" || fail "attach: $(cat /tmp/snapshotter.$id)"
	[ "$(result)" = success ] || fail "the result: $(result)"
	cmp "/dev/$disk" /upper || fail "the disk differs"
	[ "$(cat "/sys/block/$disk/ro")" = 0 ] || fail "read-only"
	mountpoint=$snapshot/block/mountpoint
	mount -t ext4 -o rw,discard "/dev/$disk" "$mountpoint"
	writes 1
	sync
	for signal in KILL TERM KILL; do
		turn=$((${turn-0} + 1))
		writes synced$turn conv=fsync
		writes direct$turn oflag=direct
		kill_daemon $signal # of what is not flushed nothing may be lost: the disk lives on
		start_daemon
		echo 3 >/proc/sys/vm/drop_caches
		are_right "after SIG$signal"
	done
	rm "$mountpoint/1"
	sed -i '1d' /tmp/written
	umount "$mountpoint"
	snapshotter_detach $id || fail "detach"
	snapshotter_attach $id "$config" || fail "again: $(cat /tmp/snapshotter.$id)"
	mount -t ext4 -o ro "/dev/$disk" "$mountpoint"
	are_right "attached again"
	umount "$mountpoint"
	snapshotter_detach $id || fail "detach"
	! dmesg | grep -i -E 'I/O error|EXT4-fs error' || fail "the kernel noticed"
	ok "written to, restarted 3 times, attached again: $(wc -l </tmp/written) files are right"

	# the container is committed, and its image pushed: what was written is a layer for the next one
	fs=/snapshots/$id/fs
	overlaybd-commit --seal $fs/writable_data $fs/writable_index || fail "--seal"
	mv $fs/writable_data $fs/overlaybd.sealed
	rm $fs/writable_index
	is_a_layer 3$id sealed
	overlaybd-commit --commit_sealed $fs/overlaybd.sealed $fs/overlaybd.commit.temp -z -t >/tmp/committed 2>&1 ||
		fail "--commit_sealed: $(cat /tmp/committed)"
	mv $fs/overlaybd.commit.temp $fs/overlaybd.commit
	rm $fs/overlaybd.sealed
	is_a_layer 4$id committed
done

# Under load: SIGTERM, and kill -9, and another one; with no more privileges than it needs.
ovbdd="overlaybd-tcmu --transports tcmu"
disk=$(cat /var/snapshots/1/block/backstore_mark)
reads() {
	while [ ! -e /tmp/enough ]; do
		dd if="$disk" bs=64k iflag=direct 2>"/tmp/dd.$1" | cmp - /upper || { touch /tmp/wrong && return; }
		echo >>"/tmp/rounds.$1"
	done
	touch "/tmp/done.$1"
}
for reader in 1 2; do
	reads $reader &
done
for signal in TERM KILL TERM TERM KILL TERM; do
	usleep 700000
	kill_daemon $signal
	usleep 200000
	[ $signal = TERM ] || rm -r /run/ovbd # as if they were the disks of overlaybd's daemon
	start_daemon
	[ ! -e /tmp/wrong ] || fail "after SIG$signal: $(cat /tmp/dd.*)"
done
touch /tmp/enough
wait_for test -e /tmp/done.1
wait_for test -e /tmp/done.2
[ ! -e /tmp/wrong ] || fail "wrong bytes: $(cat /tmp/dd.*)"
! dmesg | grep -i -E 'I/O error|abort' || fail "the kernel noticed"
echo 3 >/proc/sys/vm/drop_caches
(cd /var/snapshots/1/block/mountpoint && sha256sum -c /sums) >/tmp/sums || fail "$(cat /tmp/sums)"
ok "restarted 6 times under load: $(cat /tmp/rounds.* | wc -l) rounds of $(wc -c </upper) bytes"
umount /var/snapshots/1/block/mountpoint
snapshotter_detach 1 || fail "detach"
kill_daemon TERM
