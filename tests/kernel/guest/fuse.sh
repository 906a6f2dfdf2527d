#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /lib.sh

ovbd serve --fuse /tmp/file /image.ovbd >$log 2>&1 &
server=$!
wait_for grep -q ': ready: ' $log
mount -t ext4 -o loop,ro /tmp/file /mnt
check_tree /mnt

kill $server
wait_for grep -q 'still in use' $log
check_tree /mnt
umount /mnt
wait_for not kill -0 $server 2>/dev/null
wait $server || fail "the server ended with $?"
ok "ended with its last user"
