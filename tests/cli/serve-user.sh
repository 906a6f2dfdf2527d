#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A user who is not root serves through fusermount3. Runs as nobody, in a mount namespace where all
# may open /dev/fuse.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

if [ -z "${OVBD_TEST_NOBODY-}" ]; then
	needs_root
	command -v fusermount3 >/dev/null || skip "fusermount3 is not installed"
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	# nobody may not be able to reach the checkout, so what is run is copied
	mkdir -p home build/tools source/tests/cli source/tests/lib
	cp "$ovbd" build/tools/
	cp "$OVBD_SOURCE/tests/cli/serve-user.sh" source/tests/cli/
	cp "$OVBD_SOURCE"/tests/lib/*.sh source/tests/lib/
	chmod -R a+rX "$tmp"
	chown 65534:65534 home
	# shellcheck disable=SC2016 # for the inner shell
	OVBD_TEST_NOBODY=$tmp unshare -m sh -c '
		mount -t tmpfs -o mode=755 none /dev && mknod -m 666 /dev/fuse c 10 229 &&
		mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 &&
		setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all true || exit 77
		export TMPDIR=$OVBD_TEST_NOBODY/home
		export OVBD_SOURCE=$OVBD_TEST_NOBODY/source OVBD_BUILD=$OVBD_TEST_NOBODY/build
		exec setpriv --reuid 65534 --regid 65534 --clear-groups \
			--inh-caps=-all sh "$0"' "$tmp/source/tests/cli/serve-user.sh"
	exit
fi

random 3000000 image
serve file -v image
cmp file image || fail "read"
expect 1 "another server has it" "$ovbd" serve --fuse file image
kill "$server"
ended 0
[ ! -e file ] || fail "the file is still there"
ok "served as nobody"

serve file image
exec 9<file
kill "$server"
wait_for said "still in use"
cmp - image <&9 || fail "the open file differs"
exec 9<&-
ended 0
ok "in use"

serve file image
kill -KILL "$server"
wait_for not is_running "$server"
serve file image
cmp file image || fail "after a dead server"
fusermount3 -u file
ended 0
[ ! -e file ] || fail "the file is still there"
ok "a dead server cleared, and ended with fusermount3 -u"

if grep -qx user_allow_other /etc/fuse.conf 2>/dev/null; then
	serve file --allow-other image
	[ "$(stat -c %A file)" = -r--r--r-- ] || fail "mode $(stat -c %A file)"
	kill "$server"
	ended 0
else
	expect 1 "user_allow_other" "$ovbd" serve --fuse file --allow-other image
fi
expect 1 "Permission denied" "$ovbd" serve --fuse /ovbd-no-such-place image
