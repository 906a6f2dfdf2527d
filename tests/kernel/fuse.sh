#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer served by FUSE, loop-mounted on a kernel of Debian's; a raw file written so, by fio with verify,
# for $FIO_SECONDS (default 3).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
"$ovbd" convert -q image files/image.ovbd
echo "${FIO_SECONDS:-3}" >files/seconds
PATH=$PATH:/sbin:/usr/sbin
# shellcheck disable=SC2086 # several words
guest fuse.sh $with_fio -m "fuse loop ext4" -t 400 -b "$(command -v losetup)" \
	-b "$(command -v blkdiscard)"
