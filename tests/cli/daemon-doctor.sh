#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The doctor on this host, which at least has FUSE: without a daemon, with one, with a dead one.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

"$ovbd" doctor >report || fail "status $?: $(cat report)"
grep -q "^ok    fuse " report || fail "$(cat report)"
grep -q "^warn  daemon .*there is no $OVBD_SOCKET" report || fail "$(cat report)"
grep -A1 "^warn  daemon" report | grep -q "=> systemctl start ovbdd" || fail "no command: $(cat report)"
grep -q "^Devices can be made by: .*fuse$" report || fail "$(cat report)"
[ -z "$("$ovbd" doctor -q)" ] || fail "-q"
[ ! -e "$OVBD_SOCKET" ] || fail "it has made something"
ok "no daemon"

start_daemon
"$ovbd" doctor >report
grep -q "^ok    daemon .*ovbdd .* answers on $OVBD_SOCKET, and has the transports .*fuse" report || fail "$(cat report)"
"$ovbd" doctor --socket "$tmp/elsewhere" | grep -q "there is no $tmp/elsewhere" || fail "--socket"
"$ovbd" doctor --output=json >report
python3 - <<'EOF' || fail "$(cat report)"
import json
r = json.load(open("report"))
assert r["schema"] == "ovbd.doctor.v1" and r["usable"] is True and r["transports"]["fuse"] is True
assert set(r["transports"]) == {"tcmu", "ublk", "nbd", "fuse"}
assert {f["level"] for f in r["findings"]} <= {"ok", "warn", "fail"}
for name, can in r["transports"].items():
    levels = {f["level"] for f in r["findings"] if f["about"] == name}
    assert can == (levels == {"ok"}), (name, can, levels)
EOF
chmod 666 "$OVBD_SOCKET"
"$ovbd" doctor | grep -q "^warn  socket .*every user may write" || fail "an open socket"
ok "a daemon"

# A daemon that is stopped does not hang the doctor.
kill -STOP "$daemon"
started=$(date +%s)
"$ovbd" doctor | grep -q "^fail  daemon .*does not answer" || fail "$("$ovbd" doctor)"
[ $(($(date +%s) - started)) -lt 20 ] || fail "it waited for ever"
kill -CONT "$daemon"
stop_daemon KILL
"$ovbd" doctor | grep -q "^warn  daemon .*what a dead one has left" || fail "$("$ovbd" doctor)"
ok "a daemon that is stopped, or dead"

# Another user
if command -v setpriv >/dev/null; then
	chmod 755 "$tmp"
	as_nobody() {
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	}
	if as_nobody "$ovbd" --version >/dev/null 2>&1; then
		as_nobody "$ovbd" doctor >report || :
		grep -q "^warn  privileges" report || fail "$(cat report)"
	fi
fi
expect 2 "unexpected word 'x'" "$ovbd" doctor x
