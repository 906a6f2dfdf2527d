#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Backup on write, attached: its states, over the death of the daemon; taken back and kept; what each policy does when no
# space is left. The clients are NBD's.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
command -v qemu-io >/dev/null || skip "qemu-io is not installed"

# io COMMAND...: on the device $uri, and on the file model; all of them succeed
io() {
	printf '%s\n' "$@" >io.commands
	for to in "$uri" model; do
		qemu-io -f raw "$to" <io.commands >io.said 2>&1 || fail "$to: $(cat io.said)"
		! grep -qiE "failed|error" io.said || fail "$to: $(cat io.said)"
	done
}

# refused COMMAND PATTERN: on the device
refused() {
	qemu-io -f raw -c "$1" "$uri" >io.said 2>&1 || :
	grep -qiE "$2" io.said || fail "$1: $(cat io.said)"
}

# bow_of KEY: as the status says, a size in bytes
bow_of() {
	"$ovbd" bow status --id d | sed -nE "s/^  $1 +//; T; s/^(.*\()?([0-9]+) bytes\)?$/\2/; p"
}

bow_is() {
	[ "$(bow_of state)" = "$1" ] || fail "is $(bow_of state), not $1"
	"$ovbd" list | grep -q "^d .*  bow: $1$" || fail "list: $("$ovbd" list)"
}

# bow_attach OPTION...: disk, of random bytes, as the device d, of which 4 MiB at 8 MiB are free, in its checkpoint;
# before is what it was
bow_attach() {
	random 16777216 disk
	uri=$("$ovbd" attach -t nbd-socket --id d --bow "$@" disk)
	qemu-io -f raw -c "discard 8M 4M" "$uri" >io.said || fail "discard: $(cat io.said)"
	[ "$(bow_of free)" = 4194304 ] || fail "free: $(bow_of free)"
	"$ovbd" bow checkpoint --id d
	# what is free may have any bytes: a restore need not bring them back
	rm -f before
	nbdcopy "$uri" before
	cp before model
	bow_is checkpoint
}

# same FILE FILE: but for what was free
same() {
	cmp -n 8388608 "$1" "$2" && cmp -i 12582912 "$1" "$2"
}

read_all() {
	rm -f now
	nbdcopy "$uri" now
}

random 16777216 disk
start_daemon

# what is refused
expect 1 "transport fuse: has no discards, only holes, which must read as zeros" "$ovbd" attach -t fuse --bow disk
expect 2 "--block-size must be 512, 1024, 2048 or 4096, not '3000'" "$ovbd" attach --bow --block-size 3000 disk
expect 2 "--on-full must be commit, abort or error, not 'panic'" "$ovbd" attach --bow --on-full panic disk
expect 2 "--min-free goes with --bow" "$ovbd" attach --min-free 1M disk
expect 2 "--bow takes one SRC, a file or block device" "$ovbd" attach --bow disk disk
expect 1 "none: No such file or directory" "$ovbd" attach -t nbd-socket --bow none
uri=$("$ovbd" attach -t nbd-socket --id d --bow disk)
expect 1 "disk: is in use by process $daemon (ovbdd)" "$ovbd" attach -t nbd-socket --bow disk
expect 1 "0 bytes are free" "$ovbd" bow checkpoint --id d
expect 1 "device none: there is none of this id" "$ovbd" bow checkpoint --id none
expect 1 "in its state trim" "$ovbd" bow abort --id d
bow_is trim
cp disk raw
"$ovbd" attach -t nbd-socket --id raw --rw raw >/dev/null
expect 1 "device raw: has no backup on write" "$ovbd" bow checkpoint --id raw
expect 1 "device raw: has no backup on write: attach it with --bow" "$ovbd" bow free --id raw
api /v1/devices/d/bow -d '{"do": "nothing"}' | grep -q "checkpoint, commit or abort" || fail "the API does nothing"
"$ovbd" detach d raw
ok "refused in a sentence each"

# a checkpoint outlives the daemon, with what was written, and what is free
bow_attach --on-full error
io "write -P 1 0 100k" "write -P 2 1000 500" "write -P 3 4M 1M" "write -z 6M 64k" "write -P 4 9M 64k"
free=$(bow_of free)
[ "$free" -lt 4194304 ] || fail "nothing was taken: $free"
for signal in KILL TERM; do
	stop_daemon $signal
	start_daemon
	bow_is checkpoint
	[ "$(bow_of on-full)" = error ] || fail "the policy: $("$ovbd" status d)"
	[ "$(bow_of free)" -gt $((free - 65536)) ] || fail "$free were free, and now $(bow_of free)"
	read_all
	same now model || fail "after SIG$signal: what was answered"
	io "write -P 5 2M 123k" "write -P 6 12M 70k"
	free=$(bow_of free)
done
"$ovbd" bow free --id d | grep -q "($free bytes)" || fail "free: $("$ovbd" bow free --id d)"
api /metrics >metrics
grep -q "^ovbd_device_bow_free_bytes{id=\"d\",transport=\"nbd-socket\"} $free$" metrics || fail "$(grep bow metrics)"
grep -q '^ovbd_device_bow_state{id="d",transport="nbd-socket"} 1$' metrics || fail "$(grep bow metrics)"
expect 1 "in its state checkpoint" "$ovbd" bow checkpoint --id d
"$ovbd" detach d
[ ! -e state/devices/d.trimmed ] || fail "what it had trimmed is left"
cp disk copy
"$ovbd" bow restore -q copy
same copy before || fail "restored it is something else"
uri=$("$ovbd" attach -t nbd-socket --id d --bow disk)
bow_is checkpoint
"$ovbd" bow commit --id d
bow_is committed
stop_daemon KILL
start_daemon
bow_is committed
read_all
same now model || fail "committed it is something else"
"$ovbd" detach d
same disk model || fail "committed, the file is something else"
ok "killed in the checkpoint; restored, and committed"

# taken back while it is served
bow_attach
io "write -P 1 0 1M" "write -P 2 5M 1M"
"$ovbd" bow abort --id d
bow_is aborted
refused "read 1M 4k" "input/output error"
refused "write 1M 4k" "input/output error"
stop_daemon KILL
start_daemon
bow_is aborted
refused "read 1M 4k" "input/output error"
expect 1 "was taken back: detach" "$ovbd" bow commit --id d
"$ovbd" detach d
same disk before || fail "aborted it is something else"
ok "aborted"

# fill: 7 MiB of original content are overwritten, by writes of 256 KiB; $done of them were answered
fill() {
	for n in $(seq 0 27); do
		echo "write -P 7 $((n * 256))k 256k"
	done >io.commands
	qemu-io -f raw "$uri" <io.commands >io.said 2>&1 || :
	done=$(grep -c "wrote 262144/262144 bytes" io.said) || :
	[ "$done" -gt 8 ] || fail "after $done: $(cat io.said)"
	head -n "$done" io.commands | qemu-io -f raw model >/dev/null
}

bow_attach --on-full error --min-free 1M
fill
grep -qi "no space left" io.said || fail "fails with: $(cat io.said)"
bow_is checkpoint
"$ovbd" status d | grep -qE "backup.*bytes are free|bytes.*free" || fail "$("$ovbd" status d)"
said "bytes are free" || fail "the log: $(cat "$log")"
read_all
cmp -n $((done * 262144)) now model || fail "error: what was answered"
io "write -P 8 0 64k" # which is backed up already
"$ovbd" detach d
"$ovbd" bow restore -q disk
same disk before || fail "error: restored"
ok "on-full error: $done writes were answered"

bow_attach --on-full commit
fill
bow_is committed
bow_of policy | grep -q "bytes are free" || fail "$("$ovbd" status d)"
said "the device is committed" || fail "the log: $(cat "$log")"
[ "$done" = 28 ] || fail "$done writes were answered"
stop_daemon KILL
start_daemon
bow_is committed
read_all
same now model || fail "commit: what was answered"
"$ovbd" detach d
ok "on-full commit"

bow_attach --on-full abort
fill
bow_is aborted
bow_of policy | grep -q "bytes are free" || fail "$("$ovbd" status d)"
said "all is taken back" || fail "the log: $(cat "$log")"
stop_daemon KILL
start_daemon
bow_is aborted
"$ovbd" detach d
same disk before || fail "abort: taken back it is something else"
ok "on-full abort: after $done writes"

# by a configuration
random 4194304 small
echo '{"bow": "small", "blockSize": 1024, "onFull": "commit"}' >small.json
rm copy
"$ovbd" convert -q -O raw small.json copy
cmp small copy || fail "read through a configuration"
uri=$("$ovbd" attach -t nbd-socket --id d --rw small.json)
[ "$(bow_of block-size) $(bow_of on-full)" = "1024 commit" ] || fail "$("$ovbd" status d)"
[ "$("$ovbd" attach -t nbd-socket --id d --rw small.json)" = "$uri" ] || fail "the same once more"
expect 1 "id d in use" "$ovbd" attach -t nbd-socket --id d --bow small
expect 1 "small: is in use by process $daemon (ovbdd)" "$ovbd" info small.json
qemu-io -f raw -c "discard 1M 1M" "$uri" >io.said
"$ovbd" bow checkpoint --id d
stop_daemon KILL
start_daemon
bow_is checkpoint
[ "$(bow_of block-size) $(bow_of on-full)" = "1024 commit" ] || fail "$("$ovbd" status d)"
"$ovbd" bow commit --id d
"$ovbd" detach d
ok "by a configuration"
