#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The completion script for bash knows what the command knows.
# shellcheck source=tests/lib/cli.sh
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

"$ovbd" completion >script
# shellcheck disable=SC1091 # it is made here
. ./script

# completes WANTED WORD...: what the last word can become
completes() {
	local wanted=$1
	shift
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_ovbd "$1"
	# the order of files is that of the directory
	[ "$(printf '%s\n' "${COMPREPLY[@]}" | sort)" = "$(tr ' ' '\n' <<<"$wanted" | sort)" ] || fail "$*: ${COMPREPLY[*]}"
	ok "$*"
}

touch disk.raw disk.ovbd other
completes "convert cow compare commit" ovbd co
completes "create" ovbd cow cr
completes "show merge from-paths" ovbd trace ""
completes "restore" ovbd bow re
completes "--limit" ovbd bow restore --l
completes "zstd" ovbd cow create -c zs
completes "convert" ovbd conv
completes "--format --force" ovbd convert --fo
completes "--block-size" ovbd convert raw --bl
completes "lz4 zstd none" ovbd convert -c ""
completes "zstd" ovbd convert --compress z
completes "raw" ovbd convert -O r
completes "human json" ovbd info --output = ""
completes "json" ovbd info --output = j
completes "human json" ovbd info --output =
completes "64K" ovbd-convert --block-size 6
completes "disk.raw disk.ovbd" ovbd convert dis
completes "disk.raw disk.ovbd" ovbd convert -B dis
completes "other" ovbd-convert oth
completes "--fuse" ovbd serve --fu
