#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ovbdd as overlaybd-tcmu: its argument, its configuration, its files. (Its disks: tests/kernel.)
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
mkdir bin
ln -s "$ovbdd" bin/overlaybd-tcmu
tcmu=$tmp/bin/overlaybd-tcmu

"$tcmu" --help | grep -q '^Usage: overlaybd-tcmu \[OPTION\]... \[CONFIG\]' || fail "help"
expect 2 "nothing.json: No such file" "$tcmu" nothing.json
expect 2 "unexpected word 'more'" "$tcmu" config more
expect 2 "takes the path of its configuration without an option" "$tcmu" --config config
printf '{\n "logConfig": {"logLevel" 1}\n}' >config
expect 2 "config: line 2 column" "$tcmu" config
echo '{"exporterConfig": {"port": "9863"}}' >config
expect 2 '"exporterConfig.port" must be a number from 1 to 65535' "$tcmu" config

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
service=$(free_port)
write() { # LEVEL
	cat >config <<-JSON
		{
		    "logConfig": {"logLevel": $1, "logPath": "$tmp/overlaybd.log", "logSizeMB": 1, "logRotateNum": 2},
		    "cacheConfig": {"cacheType": "file", "cacheDir": "$tmp/kept", "cacheSizeGB": 4, "blockSize": 65536},
		    "credentialConfig": {"mode": "file", "path": "/opt/overlaybd/cred.json"},
		    "ioEngine": 0,
		    "download": {"enable": true, "delay": 600, "delayExtra": 30, "maxMBps": 100},
		    "exporterConfig": {"enable": true, "uriPrefix": "/m", "port": $port, "updateInterval": 1000},
		    "enableAudit": true, "auditPath": "$tmp/audit.log", "userAgent": "drop/in",
		    "serviceConfig": {"enable": true, "address": "http://127.0.0.1:$service"},
		    "registryFsVersion": "v2"
		}
	JSON
}
write 1
"$tcmu" --check-config config 2>err || fail "$(cat err)"
grep -q "of no effect in this version: cacheConfig.blockSize, .*ioEngine, .*registryFsVersion" err || fail "$(cat err)"

drop_in_is_ready() {
	grep -q ': ready: ' overlaybd.log 2>/dev/null || ! is_running "$daemon"
}
start_drop_in() {
	: >"$log"
	: >overlaybd.log
	"$tcmu" --state-dir "$tmp/state" "$tmp/config" 2>>"$log" &
	daemon=$!
	pids="$pids $daemon"
	wait_for drop_in_is_ready
	is_running "$daemon" || fail "ended: $(cat "$log" overlaybd.log)"
}
random 2000000 image
start_drop_in
[ "$(grep -c 'of no effect in this version: cacheConfig' overlaybd.log)" = 1 ] || fail "$(cat overlaybd.log)"
! grep -v 'TCMU disks made by others are not served' "$log" || fail "says that on standard error"
if [ ! -e /sys/module/target_core_user ]; then
	grep -q 'error: TCMU disks .*: the kernel has no TCMU: modprobe target_core_user' "$log" || fail "$(cat "$log")"
fi
path=$("$ovbd" attach --id a image)
cmp "$path" image
grep -q ' device a: serving' audit.log || fail "audit: $(cat audit.log)"
grep -q ' POST /v1/devices: asked by process [0-9]* (ovbd) of user 0$' audit.log || fail "audit: $(cat audit.log)"
! grep -q 'GET' audit.log || fail "who only looks is no change"
curl -sS "http://127.0.0.1:$port/m" >text
grep -q '^OverlayBD_Count{node=".*",type="pread",mode=""} 2000000$' text || fail "$(cat text)"
for name in Read_Throughtput QPS MaxLatency; do
	grep -q "^OverlayBD_$name{node=\".*\",type=\"pread\",mode=\"\"} .*[1-9]" text || fail "$name: $(cat text)"
done
sleep 0.1
curl -sS "http://127.0.0.1:$port/m" >text # nobody has read since
grep -q '^OverlayBD_QPS{node=".*",type="pread",mode=""} 0$' text || fail "$(cat text)"
expect 1 "nothing: No such file" "$ovbd" attach --id b nothing
grep -q 'warning: device b: .*nothing: No such file' overlaybd.log || fail "$(cat overlaybd.log)"
grep -q 'warning: device b: .*nothing: No such file' "$log" || fail "a warning is not on standard error"
[ -d kept/ovbd-cache-1 ] || fail "no cache"
ok "log, audit, metrics, cache"

# snapshots as the original has them
"$ovbd" create 1M w.data w.index
"$ovbd" create 1M next.data next.index
echo '{"lowers": [], "upper": {"data": "w.data", "index": "w.index"}}' >w.json
echo '{"lowers": [{"file": "w.data"}], "upper": {"data": "next.data", "index": "next.index"}}' >next.json
"$ovbd" attach -q -t fuse --id w --path "$tmp/w.disk" --rw w.json
echo written | dd of=w.disk conv=notrunc,fsync status=none
ask() { # STATUS MESSAGE QUERY
	curl -sS -o answer -w '%{http_code}' -X POST "http://127.0.0.1:$service/$3" | grep -qx "$1" || fail "$3: $(cat answer)"
	grep -qF "\"message\": \"$2\"" answer || fail "$3: $(cat answer)"
}
ask 404 "There are only snapshots here" v1/devices
ask 400 "Missing dev_id or config" snapshot
ask 404 "Image file not found" "snapshot?dev_id=x&config=$tmp/next.json"
ask 500 "Failed to create snapshot" "snapshot?dev_id=a&config=$tmp/next.json"
ask 200 "Snapshot created successfully" "snapshot?dev_id=w&config=$tmp/next.json"
grep -q next.data w.json || fail "$(cat w.json)"
[ "$(head -c 7 w.disk)" = written ] || fail "lost"
"$ovbd" detach w
ok "snapshots over TCP"

# Who rotates the log has it opened again; the level is read again.
mv overlaybd.log rotated.log
write 3
"$ovbd" reload
wait_for test -e overlaybd.log
expect 1 "nothing: No such file" "$ovbd" attach --id b nothing
! grep -q "device b" overlaybd.log || fail "the level is as it was: $(cat overlaybd.log)"
grep -c 'device b' audit.log | grep -qx 4 || fail "audit: $(cat audit.log)"
echo '{' >config
expect 1 "config: line " "$ovbd" reload
ok "reload"

write 1
stop_daemon TERM
start_drop_in
cmp "$path" image || fail "not attached again"
ok "after SIGTERM the next one has its devices"
stop_daemon TERM
# no log file, no reason not to serve
sed "s,$tmp/overlaybd.log,/nonexistent/overlaybd.log," config >other
mv other config
: >"$log"
"$tcmu" --state-dir "$tmp/state" "$tmp/config" 2>>"$log" &
daemon=$!
pids="$pids $daemon"
wait_for daemon_is_ready_or_over
said "/nonexistent/overlaybd.log: opening it for writing: No such file or directory; goes on without it" ||
	fail "$(cat "$log")"
said "ready: " || fail "$(cat "$log")"
stop_daemon TERM

# ovbdd's own names for the same; and the files are put aside in time.
cat >config <<-JSON
	{"log-file": "$tmp/own.log", "log-file-size": 4096, "log-files": 2, "audit-file": "$tmp/own-audit.log"}
JSON
: >"$log"
"$ovbdd" --state-dir "$tmp/state" --config "$tmp/config" 2>>"$log" &
daemon=$!
pids="$pids $daemon"
wait_for grep -q ': ready: ' own.log
for n in $(seq 100); do
	"$ovbd" attach --id "n$n" nothing 2>/dev/null && fail "there is nothing"
done
[ "$(cat own.log.2 own.log.1 own.log | grep -c 'warning: device n[0-9]*:')" -gt 30 ] || fail "lost: $(wc own*)"
grep -q 'device n100:' own.log || fail "$(cat own.log)"
[ "$(stat -c %s own.log.1)" -le 4096 ] || fail "$(wc own*)"
[ "$(stat -c %s own.log.2)" -gt 3000 ] || fail "$(wc own*)"
[ ! -e own.log.3 ] || fail "one more than was asked for"
[ -e own-audit.log.2 ] || fail "the audit file is not put aside"
[ "$(grep -c 'device n[0-9]*:' "$log")" = 100 ] || fail "warnings are not all on standard error"
stop_daemon TERM
ok "rotation"
