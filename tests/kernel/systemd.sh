#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The units under systemd: a Debian boots with what cmake --install installs, and a disk of the snapshotter is
# read while the daemon is restarted, killed, stopped, and replaced by its other name.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
. "$OVBD_SOURCE/tests/kernel/debian.sh"
[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
stock_kernel
debian_tree root
tree_image
"$ovbd" convert -q image image.ovbd

DESTDIR=$tmp/root cmake --install "$OVBD_BUILD" >said 2>&1 || fail "$(cat said)"
prefix=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$OVBD_BUILD/CMakeCache.txt")
for program in ovbdd ../bin/ovbd; do
	strip -g "root$prefix/sbin/$program"
	{ ldd "root$prefix/sbin/$program" 2>/dev/null || :; } | grep -oE '/[^ ]+' | while read -r library; do
		[ -e "root$library" ] || install -D "$library" "root$library"
	done
done
install "$OVBD_BUILD/tests/kernel/snapshotter" root/usr/local/bin/
cp image image.ovbd "$OVBD_SOURCE/tests/kernel/guest/snapshotter.sh" root/
install "$OVBD_SOURCE/tests/kernel/guest/systemd-check.sh" root/usr/local/sbin/systemd-check
mkdir -p root/etc/systemd/system/multi-user.target.wants root/etc/overlaybd
echo '{"logConfig": {"logPath": "/var/log/overlaybd.log"}}' >root/etc/overlaybd/overlaybd.json
cat >root/etc/systemd/system/systemd-check.service <<'END'
[Unit]
Description=Looks at the units of ovbdd
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/systemd-check
END
ln -s ../systemd-check.service root/etc/systemd/system/multi-user.target.wants/
truncate -s 1G disk
mkfs.ext4 -q -d root disk
rm -rf root
# without udev nobody says that there is a terminal: a login would be waited for, for 90 s
APPEND="rdinit=/boot-init systemd.show_status=0 systemd.getty_auto=0 systemd.default_timeout_start_sec=300" \
	guest boot-init -m "$tcmu_modules" -r 640 -t 700 -d disk
