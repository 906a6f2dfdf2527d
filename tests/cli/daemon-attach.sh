#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Attach, look, detach: by the verbs, and with curl.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

random 3000000 image
random 1000000 "ü, with \"words\""
expect 69 "is ovbdd running?" "$ovbd" list
start_daemon

path=$("$ovbd" attach --id a image 2>err) || fail "$(cat err)"
[ ! -s err ] || fail "attach says: $(cat err)"
cmp "$path" image || fail "the device is not the image"
[ "$("$ovbd" attach --id a image)" = "$path" ] || fail "again: not the same device"
[ "$("$ovbd" list -q | wc -l)" = 1 ] || fail "$("$ovbd" list)"
ok "attach: $path"

# What "auto" has chosen, and why.
"$ovbd" attach -v --id a image 2>err >/dev/null
grep -q "transport fuse: taken" err || fail "-v: $(cat err)"
grep -q "device a: transport .*fuse: taken" "$log" || fail "log: $(cat "$log")"
"$ovbd" status a | grep -q "^  fuse: taken" || fail "$("$ovbd" status a)"
api /v1/devices/a | tr -d ' \n' | grep -q '{"transport":"fuse","taken":true}' || fail "$(api /v1/devices/a)"
ok "auto"

cp image other
written=$("$ovbd" attach -f raw --rw --id written --path "$tmp/here" other)
dd if=/dev/zero of="$written" bs=1000 seek=3 count=5 conv=notrunc,fsync status=none
cp image want
dd if=/dev/zero of=want bs=1000 seek=3 count=5 conv=notrunc status=none
cmp other want || fail "what was written is not in the image"
"$ovbd" detach written
cp image other
ok "written"

expect 1 "id a in use" "$ovbd" attach --id a other
expect 1 "id a in use" "$ovbd" attach --id a image other
expect 1 "device b: $tmp/nothing: No such file" "$ovbd" attach --id b nothing
expect 1 "unknown transport 'tape'" "$ovbd" attach --transport tape image
expect 1 "id '../b'" "$ovbd" attach --id ../b image
expect 1 "holds 1000000 bytes already" "$ovbd" attach --path "ü, with \"words\"" image
expect 1 "there is none of this id" "$ovbd" detach b
expect 1 "there is none of this id" "$ovbd" status b
expect 2 "SRC is missing" "$ovbd" attach --id b
expect 2 "exclude each other" "$ovbd" detach --lazy --force a
[ "$("$ovbd" list -q | wc -l)" = 1 ] || fail "failures leave devices: $("$ovbd" list)"
[ "$(ls state/devices)" = a.json ] || fail "failures leave files: $(ls state/devices)"

# Names with anything in them, and a place of the user's own.
long=$(printf 'd%.0s' $(seq 200))
mkdir "$long"
cp "ü, with \"words\"" "$long/€,;%s\\"
two=$("$ovbd" attach -f raw --path "$long/täg, 1" "$long/€,;%s\\")
[ "$two" = "$tmp/$long/täg, 1" ] || fail "path: $two"
cmp "$two" "ü, with \"words\"" || fail "a long name"
"$ovbd" attach -q -f raw "ü, with \"words\"" >three
cmp "$(cat three)" "ü, with \"words\"" || fail "a name with words"
[ "$("$ovbd" list -q | cut -d' ' -f1 | tr '\n' ' ')" = "0 1 a " ] || fail "$("$ovbd" list)"
ok "names"

# In use: who by.
exec 5<"$path"
expect 1 "process $$ (" "$ovbd" detach a # and by detach itself, which has got our descriptor
expect 1 "in use by process" "$ovbd" drain
[ "$("$ovbd" list -q)" = "$("$ovbd" list -q | grep '^a ')" ] || fail "drain: $("$ovbd" list)"
"$ovbd" detach --lazy a 2>err || fail "lazy: $(cat err)"
grep -q "still in use" err || fail "$(cat err)"
[ ! -e "$path" ] || fail "its name is still there"
cmp - image <&5 || fail "a user of a detached device"
exec 5<&-
gone() {
	[ "$("$ovbd" list -q | wc -l)" = 0 ]
}
wait_for gone
"$ovbd" attach --id a image >/dev/null
exec 5<"$path"
"$ovbd" detach --force a || fail "force"
! cat <&5 >/dev/null 2>&1 || fail "still served"
exec 5<&-
for id in b c d; do
	"$ovbd" attach --id $id image >/dev/null
done
exec 5<state/b.raw 6<state/d.raw
expect 1 "2 devices are left: device b: in use by process" "$ovbd" drain
grep -q "; device d: in use by process.* $$ (" "$tmp/.stderr" || fail "d: $(cat "$tmp/.stderr")"
[ "$("$ovbd" list -q | cut -d' ' -f1 | tr '\n' ' ')" = "b d " ] || fail "$("$ovbd" list)"
"$ovbd" drain --lazy 2>err || fail "lazy: $(cat err)"
[ "$(grep -c 'its users are served to the end' err)" = 2 ] || fail "$(cat err)"
exec 5<&- 6<&-
wait_for gone
ok "detach while in use"

# The same with curl; and what no verb would ask.
body="{\"id\": \"c\", \"images\": [\"$tmp/image\"]}"
[ "$(api /v1/devices -d "$body" -w '%{http_code}' -o answer)" = 200 ] || fail "$(cat answer)"
api /v1/devices/c | cmp - answer || fail "show"
cmp state/c.raw image
api /metrics >text
grep -q '^ovbd_device_read_bytes_total{id="c",transport="fuse"} 3000000$' text || fail "$(cat text)"
[ "$(tail -n 1 text)" = "# EOF" ] || fail "no end: $(tail -n 1 text)"
code() {
	want=$1
	shift
	got=$(api "$@" -o answer -w '%{http_code}')
	[ "$got" = "$want" ] || fail "$* gives $got: $(cat answer)"
}
code 404 /v2
code 404 /v1/devices/x
code 405 /v1/devices -X PUT
code 400 /v1/devices -d '{'
grep -q 'line 1 column 1' answer || fail "$(cat answer)"
code 400 /v1/devices -d '{"image": []}'
code 409 /v1/devices -d "{\"id\": \"c\", \"images\": [\"$tmp/other\"]}"
head -c 1100000 /dev/zero | tr '\0' ' ' >big
code 413 /v1/devices --data-binary @big
code 200 /v1/devices/c -X DELETE
code 200 /v1/drain -X POST
code 200 /v1/reload -X POST
[ "$(api /v1/status | grep -c '"available": true')" -ge 1 ] || fail "$(api /v1/status)"
"$ovbd" list --output=json | grep -q '"devices": \[\]' || fail "$("$ovbd" list --output=json)"
[ "$(stat -c %a "$OVBD_SOCKET")" = 600 ] || [ "$(stat -c %a:%G "$OVBD_SOCKET")" = 660:ovbd ] ||
	fail "$(stat "$OVBD_SOCKET")"
ok "the API"

[ "$("$ovbdd" --state-dir "$tmp/elsewhere" --socket "$OVBD_SOCKET" 2>&1 | grep -c "another ovbdd listens")" = 1 ] ||
	fail "a second daemon on one socket"
stop_daemon TERM
[ ! -e "$OVBD_SOCKET" ] || fail "the socket is still there"

# Devices that do not end: all are waited for at once, and not for ever.
if [ -x "$OVBD_BUILD/tests/kernel/ovbdd_faults" ]; then
	ovbdd=$OVBD_BUILD/tests/kernel/ovbdd_faults
	export OVBD_FAULT_HANG=device-ending
	start_daemon
	for id in a b c; do
		"$ovbd" attach --id $id image >/dev/null
	done
	began=$(date +%s)
	expect 1 "3 devices are left: device a: is ending, but has not in time; device b: is" "$ovbd" drain
	took=$(($(date +%s) - began))
	{ [ $took -ge 25 ] && [ $took -lt 55 ]; } || fail "drain took $took s"
	stop_daemon KILL
	ok "drain ends"
fi
