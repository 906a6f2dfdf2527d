#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is installed, and that systemd takes the units.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
command -v cmake >/dev/null || skip "cmake is not installed"

DESTDIR=$tmp/root cmake --install "$OVBD_BUILD" >said 2>&1 || fail "$(cat said)"
prefix=$tmp/root$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$OVBD_BUILD/CMakeCache.txt")
[ -x "$prefix/bin/ovbd" ] || fail "$(find root)"
[ "$(readlink "$prefix/bin/ovbd-convert")" = ovbd ] || fail "ovbd-convert"
"$prefix/bin/ovbd-convert" --help | grep -q "^Usage: ovbd convert " || fail "$("$prefix/bin/ovbd-convert" --help)"
[ -z "$(find root -type l ! -exec test -e {} \; -print)" ] || fail "links to nowhere: $(find root -type l)"
if command -v scdoc >/dev/null; then
	for page in "$OVBD_SOURCE"/docs/man/*.scd; do
		name=$(basename "$page" .scd)
		[ "${name##*.}" = 1 ] || continue
		[ -s "$prefix/share/man/man1/$name" ] || fail "no man page $name"
	done
fi
[ ! -e root/opt ] || fail "what was not asked for: $(find root/opt)"
ok "the command"

DESTDIR=$tmp/dropin cmake --install "$OVBD_BUILD" --component overlaybd-dropin >said 2>&1 || fail "$(cat said)"
bin=$tmp/dropin$(sed -n 's/^OVBD_DROPIN_BINDIR:PATH=//p' "$OVBD_BUILD/CMakeCache.txt")
for tool in overlaybd-apply overlaybd-commit overlaybd-create overlaybd-merge overlaybd-resize overlaybd-zfile; do
	[ "$(readlink "$bin/$tool")" = ovbd ] || fail "$tool: $(ls -l "$bin")"
	"$bin/$tool" --help | grep -q "^Usage: $tool " || fail "$tool --help"
done
[ "$(find dropin ! -type d | wc -l)" = 7 ] || fail "what else: $(find dropin)"
ok "the tools of overlaybd"

if [ ! -x "$OVBD_BUILD/daemon/ovbdd" ]; then
	[ ! -e "$prefix/sbin" ] || fail "ovbdd was not built: $(find "$prefix/sbin")"
	[ ! -e "$prefix/share/man/man8" ] || fail "ovbdd was not built: $(find "$prefix/share/man/man8")"
	[ ! -e "$prefix/lib/systemd" ] || fail "ovbdd was not built: $(find "$prefix/lib/systemd")"
	exit 0
fi
[ "$(readlink "$prefix/sbin/overlaybd-tcmu")" = ovbdd ] || fail "overlaybd-tcmu"
"$prefix/sbin/overlaybd-tcmu" --help | grep -q "^Usage: overlaybd-tcmu " || fail "overlaybd-tcmu --help"
"$prefix/sbin/ovbdd" --help | grep -q "^Usage: ovbdd " || fail "ovbdd --help"
if command -v scdoc >/dev/null; then
	[ -s "$prefix/share/man/man8/ovbdd.8" ] || fail "no ovbdd(8)"
	[ -s "$prefix/share/man/man8/overlaybd-tcmu.8" ] || fail "no overlaybd-tcmu(8)"
fi
units=$prefix/lib/systemd/system
for unit in ovbdd overlaybd-tcmu; do
	! grep -n '@[A-Z]' "$units/$unit.service" || fail "not filled in"
	grep -q "^ExecStart=${prefix#"$tmp/root"}/sbin/$unit\$" "$units/$unit.service" || fail "$(cat "$units/$unit.service")"
done
grep -q '^Conflicts=overlaybd-tcmu.service$' "$units/ovbdd.service" || fail "ovbdd: no conflict"
grep -q '^Conflicts=ovbdd.service$' "$units/overlaybd-tcmu.service" || fail "overlaybd-tcmu: no conflict"
ok "the daemon"

command -v systemd-analyze >/dev/null || skip "systemd is not installed: its units are not verified"
# what the units name besides
mkdir -p root/sbin root/lib/systemd
cp -a /lib/systemd/system root/lib/systemd/
printf '#!/bin/sh\n' >root/sbin/modprobe
chmod +x root/sbin/modprobe
for unit in ovbdd overlaybd-tcmu; do
	systemd-analyze verify --root="$tmp/root" --man=no "$units/$unit.service" >said 2>&1 || fail "$(cat said)"
	! grep "$unit" said || fail "$unit: $(cat said)"
	systemd-analyze security --offline=true --root="$tmp/root" --threshold=70 "$unit.service" >said 2>&1 ||
		fail "$(cat said)"
	ok "$(tail -n 1 said)"
done
