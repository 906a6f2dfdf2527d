#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compressed layers are served as the device they make up; a damaged block is an error, not bytes.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

# patch FILE OFFSET SIZE: random bytes
patch() {
	head -c "$3" /dev/urandom | dd of="$1" bs=64K seek="$2" oflag=seek_bytes conv=notrunc status=none
}

truncate -s 24M old
patch old 0 3000000
patch old 9000000 2000000
cp old new
patch new 1000000 70000
patch new 16777216 4096
dd if=/dev/zero of=new bs=1M seek=9 count=1 conv=notrunc status=none
"$ovbd" convert -q -c zstd old base.ovbd
"$ovbd" convert -q -c lz4 -B base.ovbd new delta.ovbd

serve file base.ovbd
cmp file old || fail "one layer"
kill "$server"
ended 0
ok "one layer"

serve file base.ovbd delta.ovbd
cmp file new || fail "two layers"
said "24 MiB, 2 layers" || fail "$(cat "$log")"
dd if=file bs=4K skip=1 iflag=direct status=none | cmp - new -i 0:4096 || fail "in small reads"
kill "$server"
ended 0
ok "two layers"

printf '{ "lowers": [ { "file": "%s" }, { "file": "%s" } ] }' "$tmp/base.ovbd" "$tmp/delta.ovbd" >image.json
serve file image.json
cmp file new || fail "an image configuration"
kill "$server"
ended 0
ok "an image configuration"

# The middle of the file: one of the random blocks.
half=$(($(stat -c %s base.ovbd) / 2))
byte=$(od -An -tu1 -j $half -N1 base.ovbd)
printf "%b" "\\0$(printf %o $((byte ^ 16)))" | dd of=base.ovbd bs=1 seek=$half conv=notrunc status=none
serve file base.ovbd
good=0 bad=0
for i in $(seq 0 63); do # 64 reads of 384 KiB are the device
	if dd if=file bs=384K skip="$i" count=1 iflag=direct status=none >part 2>>dd.log; then
		dd if=old bs=384K skip="$i" count=1 status=none | cmp - part || fail "wrong bytes in part $i"
		good=$((good + 1))
	else
		bad=$((bad + 1))
	fi
done
[ "$good.$bad" = 63.1 ] || fail "$good parts can be read, $bad cannot: $(cat dd.log)"
said "base.ovbd" || fail "not told: $(cat "$log")"
kill "$server"
ended 0
ok "a flipped bit: 63 parts of 64 are right, one is an error"
