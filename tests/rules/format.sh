#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every C file is as clang-format makes it: clang-format-14 -i FILE
set -eu
cd "${OVBD_SOURCE:-.}"
if ! command -v clang-format-14 >/dev/null; then
	echo "clang-format-14 is not installed"
	exit 77
fi
git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format-14 --dry-run --Werror
