#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --dedup-db: layers that were made before are had from where they are, in this target or another; several at once;
# a database that is stale, damaged, another's or cannot be written.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib
command -v sqlite3 >/dev/null || skip "sqlite3 is not installed"
"$ovbd" convert --dedup-db "sqlite:$tmp/probe" oci:none oci:none2 2>said || :
! grep -q "built without SQLite" said || skip "this build has no SQLite"
rm -rf probe none2

for n in 1 2 3; do
	mkdir "d$n"
	seq "$n" 4000 >"d$n/file$n"
	tar -cf "$n.tar" --owner=0 --group=0 --mtime=@1500000000 -C "d$n" .
done
python3 "$lib/oci-image.py" in two 1.tar 2.tar >/dev/null
python3 "$lib/oci-image.py" in three 1.tar 2.tar 3.tar >/dev/null
db="--dedup-db sqlite:$tmp/db"

# had N WORDS...: N layers of the conversion were there; the digest is that of one without a database
had() {
	want=$1
	shift
	# shellcheck disable=SC2086 # words
	"$ovbd" convert $db --digestfile got "$@" 2>said || fail "$*: $(cat said)"
	grep -q ", $want of . layers were there" said || fail "$*: not $want: $(cat said)"
}
rows() {
	sqlite3 "$tmp/db" "SELECT count(*) FROM layers"
}

# --- from one target to the other
"$ovbd" convert -q --digestfile plain oci:in:three oci:alone:t
had 0 oci:in:two oci:a:t
[ "$(rows)" = 2 ] || fail "rows: $(rows)"
had 2 oci:in:three oci:b:t
cmp got plain || fail "another digest with a database"
"$ovbd" check -q oci:b:t || fail "what was had is damaged"
[ "$(rows)" = 5 ] || fail "rows: $(rows)"
had 3 oci:in:three dir:c
had 3 oci:in:three oci-archive:d.tar:t
cmp got plain || fail "an archive: another digest"
[ "$(rows)" = 8 ] || fail "an archive has no place: $(rows)"
rm -rf a b
had 3 oci:in:three oci:e:t
had 0 -c zstd oci:in:three oci:e:zstd
"$ovbd" convert --dedup-db "sqlite:$tmp/db" --dry-run oci:in:three oci:new:t >said
grep -q "0 of 3 layers are there" said || fail "--dry-run: $(cat said)"
[ ! -e new ] || fail "--dry-run makes something"
ok "from one target to the other"

# --- of an interrupted conversion blobs are there that no image has
cp -r e f
rm f/index.json
sqlite3 db "UPDATE layers SET place = 'oci:$tmp/f' WHERE place = 'oci:$tmp/e'"
had 3 oci:in:three oci:f:t
ok "blobs that no image has"

# --- what is said but not so
rm -rf c e f alone g
had 0 oci:in:two oci:g:t
for blob in g/blobs/sha256/*; do
	[ "$(stat -c %s "$blob")" -lt 20000 ] || printf x | dd of="$blob" bs=1 seek=9000 conv=notrunc status=none
done
had 0 oci:in:two oci:h:t
grep -q "is damaged: .*; it is made again" said || fail "a damaged layer: $(cat said)"
"$ovbd" check -q oci:h:t || fail "a damaged layer was had"
rm -rf g
sqlite3 db "UPDATE layers SET place = 'oci:/../../' || place; INSERT INTO layers SELECT chain_id, parameters, 'oci:x', '../../etc/passwd', 7 FROM layers GROUP BY 1, 2;
	INSERT INTO layers SELECT chain_id, parameters, 'oci:y', 'sha256:00', -7 FROM layers GROUP BY 1, 2"
had 0 oci:in:two oci:i:t
sqlite3 db "UPDATE layers SET digest = replace(digest, '7', '8')"
had 0 oci:in:two oci:j:t
had 2 oci:in:two oci:k:t
ok "what is said but not so"

# --- several at once
rm -rf db*
for n in 1 2 3 4 5 6; do
	# shellcheck disable=SC2086
	"$ovbd" convert -q $db oci:in:three "oci:once$((n % 3)):t$n" 2>"said$n" &
	pids="$pids $!"
done
for pid in $pids; do
	wait "$pid" || fail "one of several at once: $(cat said?)"
done
pids=
cat said? >said
[ ! -s said ] || fail "several at once: $(cat said)"
[ "$(rows)" = 9 ] || fail "rows: $(rows)"
[ "$(sqlite3 db "SELECT count(DISTINCT digest) FROM layers")" = 3 ] || fail "more than one digest for a layer"
[ "$(sqlite3 db "PRAGMA integrity_check")" = ok ] || fail "integrity"
had 3 oci:in:three oci:more:t
ok "several at once"

# --- databases that are none, or not ours
# shellcheck disable=SC2086
refused() {
	expect "$1" "$2" "$ovbd" convert --dedup-db "sqlite:$3" oci:in:two oci:refused:t
	[ ! -e refused/index.json ] || fail "something was made"
}
seq 1 1000 >text
cp text text.old
refused 1 "text: is no database of SQLite's" text
cmp text text.old || fail "a text was changed"
sqlite3 foreign "CREATE TABLE mine (x)"
cp foreign foreign.old
refused 1 "foreign: is a database of something else: it is left as it is" foreign
cmp foreign foreign.old || fail "another's database was changed"
sqlite3 newer "PRAGMA application_id = 1870029412; PRAGMA user_version = 9"
refused 1 "newer: is of version 9, not 1" newer
refused 1 "no/such/db: cannot be opened" no/such/db
mkdir directory
refused 1 "directory: cannot be opened" directory
expect 2 "it is sqlite:PATH" "$ovbd" convert --dedup-db mysql:x oci:in:two oci:refused:t
expect 2 "it is sqlite:PATH" "$ovbd" convert --dedup-db sqlite: oci:in:two oci:refused:t
expect 2 "--dedup-db" "$ovbd" convert --dedup-db sqlite:db 1.tar out.ovbd

# goes_on WORDS DATABASE: the conversion is done, and why the database is not used is said once
goes_on() {
	rm -rf on
	"$ovbd" convert --dedup-db "sqlite:$2" oci:in:two oci:on:t 2>said || fail "$2: $(cat said)"
	[ "$(grep -cF "warning: $2: $1" said)" = 1 ] || fail "$2: $(cat said)"
	"$ovbd" check -q oci:on:t || fail "$2"
}
sqlite3 db "PRAGMA wal_checkpoint(TRUNCATE)" >/dev/null
cp db damaged
printf '%4096s' x | tr ' ' x | dd of=damaged bs=4096 seek=1 conv=notrunc status=none
goes_on "cannot be read: database disk image is malformed; it is not used any more" damaged
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=16k tmpfs full 2>/dev/null; then
	goes_on "cannot be written: " full/db
	umount full
fi
if [ "$(id -u)" = 0 ] && mkdir ro && mount -t tmpfs tmpfs ro 2>/dev/null; then
	sqlite3 db "PRAGMA journal_mode = DELETE" >/dev/null
	cp db ro/db
	mount -o remount,ro ro
	goes_on "cannot be written: layers made now will not be found in it" ro/db
	grep -q "2 of 2 layers were there" said || fail "what can be read is not used: $(cat said)"
fi
ok "databases that are none, or not ours"
