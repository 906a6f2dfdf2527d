#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The metrics: on the socket and over TCP, valid, and right; and nothing else over TCP.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
metrics() { # EXPRESSION...
	s=0
	"$OVBD_SOURCE/tests/lib/openmetrics.py" "$@" || s=$?
	[ $s != 77 ] || exit 77
	[ $s = 0 ] || fail "metrics"
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

random 3000000 image
port=$(free_port)
start_daemon --metrics "127.0.0.1:$port" --metrics-original
curl -sS "http://127.0.0.1:$port/metrics" | metrics 'm("ovbd_devices") == 0' \
	'n("ovbd_latency_seconds_bucket") == 39' 'm("OverlayBD_Alive") == 1'
path=$("$ovbd" attach --id a image)
cmp "$path" image
curl -sSD head "http://127.0.0.1:$port/metrics" >tcp
grep -qi '^content-type: application/openmetrics-text; version=1.0.0; charset=utf-8' head || fail "$(cat head)"
metrics <tcp \
	'm("ovbd_devices", state="serving") == 1' \
	'm("ovbd_device_up", id="a") == 1' \
	'm("ovbd_device_read_bytes_total", id="a", transport="fuse") == 3000000' \
	'm("ovbd_latency_seconds_count", op="read") == m("ovbd_device_reads_total") > 0' \
	'm("ovbd_latency_seconds_count", op="write") == 0' \
	'm("ovbd_latency_seconds_bucket", op="read", le="+Inf") == m("ovbd_device_reads_total")' \
	'm("ovbd_latency_seconds_bucket", op="read", le="67.108864") == m("ovbd_device_reads_total")' \
	'abs(m("ovbd_latency_seconds_sum", op="read") - m("ovbd_device_read_seconds_total")) < 1e-3' \
	'm("ovbd_latency_seconds_sum", op="read") > 0' \
	'n("OverlayBD_QPS", type="pread") == n("OverlayBD_MaxLatency", type="download") == 1' \
	'n("OverlayBD_Read_Throughtput") == n("OverlayBD_Count") == 2'
api /metrics | metrics 'm("ovbd_device_reads_total") > 0'
ok "valid, and the figures are right"

"$ovbd" detach a
curl -sS "http://127.0.0.1:$port/metrics" | metrics 'n("ovbd_device_up") == 0' \
	'm("ovbd_latency_seconds_count", op="read") > 0'
ok "histograms do not fall when a device goes"

code() { # STATUS ARGUMENT...
	want=$1
	shift
	got=$(curl -sS -o answer -w '%{http_code}' "$@")
	[ "$got" = "$want" ] || fail "$* gives $got: $(cat answer)"
}
code 200 -I "http://127.0.0.1:$port/metrics"
code 404 "http://127.0.0.1:$port/v1/devices"
code 404 "http://127.0.0.1:$port/v1/devices/a" -X DELETE
code 404 "http://127.0.0.1:$port/v1/drain" -X POST
code 405 "http://127.0.0.1:$port/metrics" -X DELETE
curl -sS "http://127.0.0.1:$port/metrics" -d x >answer 2>&1 && fail "takes a body"
code 404 "http://127.0.0.1:$port/metricsx"
# who says nothing keeps nobody away
python3 - "$port" <<'PYTHON'
import socket, sys, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}/metrics"
idle = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(20)]
assert urllib.request.urlopen(url, timeout=10).read().endswith(b"# EOF\n")
PYTHON
ok "nothing but the metrics"

# Where somebody has the port, devices are served all the same.
stop_daemon TERM
python3 -c 'import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("listens", flush=True); time.sleep(60)' "$port" >taken &
pids="$pids $!"
wait_for grep -q listens taken
start_daemon --metrics "127.0.0.1:$port"
said "metrics: listening at 127.0.0.1:$port: Address already in use; goes on without it" || fail "$(cat "$log")"
api /metrics >text
! grep -q OverlayBD text || fail "names that nobody asked for"
stop_daemon TERM
for address in 9863 ::1:9863 nowhere: 127.0.0.1:http; do
	expect 1 "metrics: '$address'" "$ovbdd" --state-dir state --metrics "$address"
done
echo "{\"metrics\": \"[::1]:$(free_port)\", \"metrics-original\": true}" >config
start_daemon --config "$tmp/config"
curl -sS "http://$(sed 's/.*"\(\[[^"]*\)".*/\1/' config)/metrics" | metrics 'n("OverlayBD_Alive") == 1'
