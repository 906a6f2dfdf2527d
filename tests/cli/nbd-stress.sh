#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Clients that haggle, lie, babble, crowd and hang: the server goes on serving others, and keeps nothing
# of theirs. And all that libnbd's client can ask.
. "${OVBD_SOURCE:?}/tests/lib/nbd.sh"

head -c 5000000 /dev/urandom >disk.raw
truncate -s 16M disk.raw
"$ovbd" convert -q disk.raw disk.ovbd
seed=${NBD_SEED:-$(date +%s)}

stress() {
	timeout 100 python3 "$OVBD_SOURCE/tests/lib/nbd_stress.py" disk.sock disk.raw "$1" "$seed"
}
descriptors() {
	find "/proc/$server/fd" -mindepth 1 2>/dev/null | wc -l
}
only_its_own() {
	[ "$(descriptors)" = "$fds" ]
}
memory() { # KiB that are the process's own
	awk '$1 == "RssAnon:" { print $2 }' "/proc/$server/status"
}

serve_nbd disk.ovbd
{ nbdcopy "$uri" copy && cmp copy disk.raw; } || fail "nbdcopy"
wait_for test "$(descriptors)" -lt 30
fds=$(descriptors)
for kind in haggle malformed garbage crowd; do
	stress $kind || fail "$kind, seed $seed: $(tail -n 3 "$log")"
	is_running "$server" || fail "$kind, seed $seed: the server has ended: $(tail "$log")"
	wait_for only_its_own
	{ nbdcopy "$uri" copy && cmp copy disk.raw; } || fail "$kind, seed $seed: the next client"
	wait_for only_its_own
	ok "$kind"
done
[ "$(memory)" -lt 100000 ] || fail "keeps $(memory) KiB"

# Connections in every state, while others work; what is left of them goes with them.
mkfifo hold
stress half <hold &
holder=$!
exec 9>hold
wait_for test -e held
{ timeout 20 nbdcopy "$uri" copy && cmp copy disk.raw; } || fail "half, seed $seed: hindered"
exec 9>&-
wait $holder || fail "half, seed $seed"
wait_for only_its_own
kill "$server"
ended 0
ok "half-open"

for python in python3 /usr/bin/python3; do
	$python -c 'import nbd' 2>/dev/null && break
done
$python -c 'import nbd' || skip "python3-libnbd is not installed"
"$ovbd" serve -q --nbd disk.sock --run "$python '$OVBD_SOURCE/tests/lib/nbd_client.py' \"\$OVBD_URI\" disk.raw" \
	disk.ovbd || fail "libnbd"
cp disk.raw scratch
"$ovbd" serve -q --nbd disk.sock --rw \
	--run "$python '$OVBD_SOURCE/tests/lib/nbd_client.py' \"\$OVBD_URI\" disk.raw writable" -f raw scratch ||
	fail "libnbd writes"
cmp -n 65536 scratch disk.raw >/dev/null && fail "nothing was written"
ok "libnbd"
