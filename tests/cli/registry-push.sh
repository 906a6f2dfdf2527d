#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pushing to registries that break, lose, limit and redirect uploads: what arrives is whole all the same, nothing more
# is sent than must be, and where it cannot be done a sentence says why.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"
lib=$OVBD_SOURCE/tests/lib

mkdir d
seq 1 20000 >d/file
tar -cf 1.tar --owner=0 --group=0 -C d .
head -c 40000000 /dev/urandom >d/noise
tar -cf 2.tar --owner=0 --group=0 -C d .
python3 "$lib/oci-image.py" src t 1.tar 2.tar >/dev/null
"$ovbd" convert -q -c none oci:src:t oci:out:t
wanted=$(python3 -c 'import json; print(json.load(open("out/index.json"))["manifests"][0]["digest"])')
big=$(find out/blobs -type f -size +30M)
size=$(stat -c %s "$big")
digest=$(sha256sum "$big" | cut -c1-64)

mkfifo hold_push
exec 7<>hold_push
python3 "$lib/push-server.py" asked <hold_push >push_port 7>&- &
pids="$pids $!"
wait_for test -s push_port
at=127.0.0.1:$(cat push_port)
no_proxy=localhost,127.0.0.1
export no_proxy

# push LIES OPTION...: what was asked is in "asked"
push_to() {
	lies=$1
	name=docker://$at/$lies/img:t
	shift
	: >asked
	"$ovbd" convert -q -c none "$@" oci:src:t "$name" 2>said || fail "$name: $(cat said)"
	curl -sf "http://$at/raw/$lies/img/t" >raw || fail "$name: is not there"
	[ "$(sha256sum <raw)" = "${wanted#sha256:}  -" ] || fail "$name: another manifest"
	! grep -q "^PUT .*digest=sha256:$digest.* 400 " asked || fail "$name: $(cat asked)"
}
# sent: how many bytes of bodies of PATCHes
sent() {
	awk '$1 == "PATCH" { n += $4 } END { print n + 0 }' asked
}
# n_of METHOD STATUS
n_of() {
	awk -v m="$1" -v s="$2" '$1 == m && $3 == s { n++ } END { print n + 0 }' asked
}

# --- as it should be
push_to x
[ "$(n_of PATCH 202)" = 3 ] || fail "chunks: $(cat asked)"
[ "$(sent)" = "$size" ] || fail "sent $(sent) of $size"
push_to x
[ "$(n_of POST 202)$(n_of PATCH 202)$(n_of PUT 201)" = 000 ] || fail "sent again: $(cat asked)"
ok "as it should be"

# --- it breaks: nothing is sent twice but what the registry has not got
push_to cut-1000000/cut-20000000/cut-39000000
[ "$(n_of PATCH 0)" = 3 ] || fail "cuts: $(cat asked)"
[ "$(n_of GET 204)" = 3 ] || fail "nobody asked what is there: $(cat asked)"
[ "$(sent)" -le $((size + 3 * 65536)) ] || fail "sent $(sent) of $size"
push_to short-5000000
[ "$(sent)" -gt "$size" ] || fail "short: $(cat asked)"
push_to none-2
push_to busy-3
[ "$(n_of PATCH 503)" = 3 ] || fail "busy: $(cat asked)"
push_to lost
[ "$(sent)" = "$size" ] || fail "lost: sent $(sent) of $size"
ok "what breaks is gone on with"

# --- another upload
push_to forget-20000000
[ "$(n_of PATCH 404)" = 1 ] || fail "forgotten: $(cat asked)"
push_to nopatch
[ "$(n_of PATCH 405)" = 1 ] || fail "no chunks: $(cat asked)"
[ "$(sent)" = 0 ] || fail "no chunks: $(cat asked)"
push_to nopatch/noreset
ok "another upload"

# --- sizes
push_to min-20000000
[ "$(n_of PATCH 202)" = 3 ] || fail "min: $(cat asked)"
[ "$(awk '$1 == "PATCH" && $4 < 20000000 { n++ } END { print n + 0 }' asked)" = 1 ] || fail "min: $(cat asked)"
push_to max-5000000
[ "$(awk '$1 == "PATCH" && $3 == 202 && $4 > 5000000 { n++ } END { print n + 0 }' asked)" = 0 ] || fail "max: $(cat asked)"
ok "the registry's sizes"

# --- where
push_to where
push_to away
[ "$(n_of PATCH 307)" -ge 1 ] || fail "away: $(cat asked)"
push_to away/token-4
ok "redirects"

# --- tokens that end in the middle
push_to token-3
[ "$(n_of PATCH 202)" = 3 ] || fail "tokens: $(cat asked)"
[ "$(awk '$3 == 401 { n++ } END { print n + 0 }' asked)" -ge 3 ] || fail "tokens: $(cat asked)"
push_to token-2/cut-1000000/cut-20000000
ok "tokens that end"

# --- what cannot be
refused() {
	: >asked
	r_status=$1 r_words=$2
	shift 2
	expect "$r_status" "$r_words" "$ovbd" convert -q -c none "$@"
	! grep -q "PUT .*/manifests/t " asked || fail "it has a name: $(cat asked)"
	r_ends=$(grep -c -e "^DELETE .* 204 " -e "^PUT .*/blobs/.* 201 " -e "^PATCH .* 404 " asked || :)
	[ "$(n_of POST 202)" = "$r_ends" ] || fail "an upload is left: $(cat asked)"
}
refused 77 "docker://$at/readonly/img:t: http://$at/v2/readonly/img/blobs/uploads/: the answer was 403 Forbidden: DENIED: not here" \
	oci:src:t "docker://$at/readonly/img:t"
refused 74 "no progress in 2 s" --deadline 1 oci:src:t "docker://$at/stuck/img:t"
refused 75 "it is to be tried again in 86400 s only" oci:src:t "docker://$at/later/img:t"
refused 74 "the registry says sha256:0000" oci:src:t "docker://$at/other/img:t"
refused 74 "5 uploads were lost" oci:src:t "docker://$at/forget-20000000/amnesia/img:t"
ok "what cannot be"

# --- an interrupt ends the upload
: >asked
"$ovbd" convert -q -c none --deadline 100 oci:src:t "docker://$at/stuck/img:u" 2>said &
pid=$!
wait_for grep -q "^PATCH .* 503" asked
kill -TERM $pid
s=0
wait $pid || s=$?
[ $s = 143 ] || fail "after SIGTERM: $s: $(cat said)"
[ "$(n_of DELETE 204)" -ge 1 ] || fail "the upload is left: $(cat asked)"
ok "an interrupt"

# --- a cut at any place of what is sent to Debian's registry
start_registry ""
n=0
for cut in 100 400 2000 70000 "20000000 25000000" "5000000 21000000 39000000"; do
	rm -f cut_port
	# shellcheck disable=SC2086 # several
	python3 "$lib/upload-proxy.py" "${registry#*:}" $cut <hold_push >cut_port 7>&- &
	proxy=$!
	pids="$pids $proxy"
	wait_for test -s cut_port
	n=$((n + 1))
	name=docker://127.0.0.1:$(cat cut_port)/cut/$n:t
	"$ovbd" convert -q -c none oci:src:t "$name" 2>said || fail "cut at $cut: $(cat said)"
	[ "$(skopeo inspect --raw --tls-verify=false "$name" | sha256sum)" = "${wanted#sha256:}  -" ] || fail "cut at $cut"
	kill $proxy
	! grep -q 'PUT [^"]*" 400 ' registry.log || fail "cut at $cut: a wrong digest: $(grep 'PUT [^"]*" 400 ' registry.log)"
done
"$ovbd" check -q "docker://$registry/cut/$n:t"
ok "cuts"
