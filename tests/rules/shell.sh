#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every shell script passes shellcheck.
set -eu
cd "${OVBD_SOURCE:-.}"
if ! command -v shellcheck >/dev/null; then
	echo "shellcheck is not installed"
	exit 77
fi
list=$(mktemp)
trap 'rm -f "$list"' EXIT
git ls-files -z | xargs -0 grep -lZE -e '^#!/bin/(ba)?sh' -- >"$list"
[ "$(tr -dc '\0' <"$list" | wc -c)" -ge 50 ] || { # or this would pass with nothing looked at
	echo "the scripts have not been found"
	exit 1
}
xargs -0 -r shellcheck -x -P SCRIPTDIR -P SCRIPTDIR/../lib <"$list"
