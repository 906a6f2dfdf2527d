#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A Debian in two layers boots from an NBD export as its root disk: systemd, to the unit that the upper
# layer brought, which compares every file with what its package says.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
. "$OVBD_SOURCE/tests/kernel/debian.sh"
for tool in nbdcopy qemu-img; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
stock_kernel

debian_tree root
truncate -s 512M base.raw
mkfs.ext4 -q -d root base.raw
cp "$OVBD_SOURCE/tests/kernel/guest/boot-check.sh" root/sbin/boot-check
mkdir -p root/etc/systemd/system/multi-user.target.wants
cat >root/etc/systemd/system/boot-check.service <<'END'
[Unit]
Description=Compares every file
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/sbin/boot-check
END
ln -s ../boot-check.service root/etc/systemd/system/multi-user.target.wants/
echo "the upper layer" >root/etc/issue
truncate -s 512M upper.raw
mkfs.ext4 -q -d root upper.raw
rm -rf root
"$ovbd" convert -q -c zstd base.raw base.ovbd
"$ovbd" convert -q -c zstd -B base.ovbd upper.raw upper.ovbd
rm base.raw

"$ovbd" serve -q --nbd disk.sock base.ovbd upper.ovbd &
server=$!
pids=$server
wait_for test -S disk.sock
uri="nbd+unix:///?socket=$tmp/disk.sock"
{ nbdcopy "$uri" copy && cmp copy upper.raw; } || fail "nbdcopy"
rm copy
{ qemu-img convert -O raw "$uri" copy && cmp copy upper.raw; } || fail "qemu-img convert"
rm copy
# without udev nobody says that there is a terminal: a login would be waited for, for 90 s
APPEND="rdinit=/boot-init systemd.show_status=0 systemd.getty_auto=0 systemd.default_timeout_start_sec=300" \
	guest boot-init -m ext4 -r 640 -t 400 -d "$uri,snapshot=on"
kill $server
wait $server || fail "the server ended with $?"
