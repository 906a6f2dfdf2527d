#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What cannot be done is refused with a sentence and the right status; nothing is left, nothing lost.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 300000 1 >raw
echo precious >old
mkdir dir
layer raw l.ovbd
head -c 20000 l.ovbd >short
head -c 200 l.ovbd >stub
: >empty.json
echo '{"lowers":[{"file":7}]}' >wrong.json
echo '{"lowers":[{"file":"nowhere"}]}' >dangling.json
set -- raw old dir l.ovbd short stub empty.json wrong.json dangling.json

expect 1 "use --force to replace it" "$ovbd" convert raw old
expect 1 "is a directory" "$ovbd" convert raw dir
expect 1 "is a directory" "$ovbd" convert dir out
expect 1 "no-such: No such file" "$ovbd" convert no-such out
expect 1 "No such file" "$ovbd" convert raw no/such/dir/out
expect 1 "short" "$ovbd" convert -O raw short out
expect 1 "lowers[0].file must be a string" "$ovbd" convert -O raw wrong.json out
expect 1 "nowhere does not exist" "$ovbd" convert -O raw dangling.json out
expect 1 "raw: is no layer" "$ovbd" convert l.ovbd raw out
expect 1 "is no layer" "$ovbd" convert -B l.ovbd -B raw raw out
[ "$(cat old)" = precious ] || fail "old was overwritten"
left_behind "$@"

layer --force raw old
same old raw
cp raw self
layer --force self self # reads the old file while the new one has no name yet
same self raw
layer --force -O raw self self
cmp self raw
rm self
ok "--force"

expect 2 "DST is missing" "$ovbd" convert raw
expect 2 "SRC and DST are missing" "$ovbd" convert
expect 2 "did you mean --force" "$ovbd" convert --forse raw out
expect 2 "unknown option -Z" "$ovbd" convert -Z raw out
expect 2 "option -c needs a value" "$ovbd" convert raw out -c
expect 2 "option --block-size needs a value" "$ovbd" convert raw out --block-size
expect 2 "takes no value" "$ovbd" convert --force=yes raw out
expect 2 "unknown format 'qcow'" "$ovbd" convert -O qcow raw out
expect 2 "the output is" "$ovbd" convert -O image raw out
expect 2 "the codecs are" "$ovbd" convert -c gzip raw out
expect 2 "level of zstd" "$ovbd" convert -c zstd:99 raw out
expect 2 "level of zstd" "$ovbd" convert -c zstd: raw out
expect 2 "lz4 has no levels" "$ovbd" convert -c lz4:9 raw out
expect 2 "it is 4K" "$ovbd" convert --block-size 5000 raw out
expect 2 "it is 4K" "$ovbd" convert --block-size 128K raw out
expect 2 "it is 1 to" "$ovbd" convert -j 0 raw out
expect 2 "it is 1 to" "$ovbd" convert -j many raw out
expect 2 "is no UUID" "$ovbd" convert --uuid 1234 raw out
expect 2 "at most 256" "$ovbd" convert -m "$(printf '%0300d' 0)" raw out
expect 2 "not compressed" "$ovbd" convert -O raw -c zstd raw out
expect 2 "not compressed" "$ovbd" convert -O lsmt --block-size 4K raw out
expect 2 "always compressed" "$ovbd" convert -O zfile -c none raw out
expect 2 "-B makes a layer" "$ovbd" convert -O raw -B l.ovbd raw out
expect 2 "--tar is not for raw" "$ovbd" convert -O raw --tar raw out
expect 2 "kept in a layer" "$ovbd" convert -O zfile -m hello raw out
expect 2 "cannot write to a URL" "$ovbd" convert raw http://localhost/out
expect 2 "a tar cannot go to standard output" "$ovbd" convert --tar raw -
left_behind "$@"

[ "$(id -u)" = 0 ] || exit 0
command -v setpriv >/dev/null || skip "setpriv is not installed"
chmod 755 "$tmp"
mkdir --mode=755 closed
chmod 600 l.ovbd
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
# another user may not be able to reach the build directory
cp "$ovbd" for-all && chmod 755 for-all
# shellcheck disable=SC2086 # words
expect 1 "Permission denied" $nobody ./for-all convert raw closed/out
# shellcheck disable=SC2086
expect 1 "Permission denied" $nobody ./for-all convert -O raw l.ovbd -
