#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer served by FUSE, ext4 and erofs, loop-mounted on a kernel of Debian's; a raw file written so, by fio with verify,
# for $FIO_SECONDS (default 3).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
PATH=$PATH:/sbin:/usr/sbin
tree_image
tree_erofs
"$ovbd" convert -q image files/image.ovbd
echo "${FIO_SECONDS:-3}" >files/seconds
# shellcheck disable=SC2086 # several words
guest fuse.sh $with_fio -m "fuse loop ext4 erofs" -t 400 -b "$(command -v losetup)" \
	-b "$(command -v blkdiscard)"
