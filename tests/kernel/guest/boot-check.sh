#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a Debian that has booted: every file of every package is as the package says. Tells run-vm, and
# ends the machine.
exec >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
status=0
[ "$(readlink /proc/1/exe)" = /usr/lib/systemd/systemd ] || { echo "systemd did not boot" && status=1; }
[ "$(findmnt -no SOURCE /)" = /dev/vda ] || { echo "the root is $(findmnt -no SOURCE /)" && status=1; }
[ "$(cat /etc/issue)" = "the upper layer" ] || { echo "not the upper layer" && status=1; }
cat /var/lib/dpkg/info/*.md5sums >/tmp/sums
cd / || status=1
md5sum --quiet -c /tmp/sums || status=1
[ $status != 0 ] || echo "ok: $(grep PRETTY /etc/os-release) booted, $(wc -l </tmp/sums) files are right"
echo $status >/dev/ttyS2
sync
echo b >/proc/sysrq-trigger
