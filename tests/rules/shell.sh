#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every shell script passes shellcheck.
set -eu
cd "${OVBD_SOURCE:-.}"
if ! command -v shellcheck >/dev/null; then
	echo "shellcheck is not installed"
	exit 77
fi
git ls-files -z | xargs -0 grep -lZE '^#!/bin/(ba)?sh' | xargs -0 -r shellcheck -x -P SCRIPTDIR -P SCRIPTDIR/../lib
