#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Of fs-power-xfs.sh: ./cut and ./synced go to a directory of their own in $KEPT.
set -eu
to=$(mktemp -d "$KEPT/XXXXXX")
cp --sparse=always cut "$to/cut"
cp synced "$to/synced"
