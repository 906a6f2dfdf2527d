# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Debian's kernels, downloaded and unpacked but not installed:
#
#   kernel_stock   the kernel of this Debian (6.1)
#   kernel_cloud   the cloud kernel of its backports (6.12: ublk, FUSE passthrough)
#
# Each sets $kernel_image and $kernel_root, or fails and says why on standard error. Which package
# it is, is asked each time: versions come and go. What was unpacked stays in $kernel_cache, newest
# only; without a network the one that is there is taken.
kernel_cache=${XDG_CACHE_HOME:-/var/cache}/ovbd-test-kernel

# The package that package $1 needs and that holds the kernel itself.
kernel_package() {
	apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

# kernel_fetch KIND META: the newest kernel that META names is unpacked as $kernel_cache/KIND.
kernel_fetch() {
	kernel_name=$(kernel_package "$2") || return
	[ -n "$kernel_name" ] || return
	[ ! -e "$kernel_cache/$1/$kernel_name" ] || return 0
	echo "fetching $kernel_name" >&2
	(
		new=$kernel_cache/$1.new
		rm -rf "$new" && mkdir -p "$new/root" && cd "$new" || exit
		apt-get download -q "$kernel_name" >log 2>&1 || { cat log >&2 && exit 1; }
		dpkg -x ./*.deb root && rm ./*.deb || exit
		for modules in root/lib/modules/*; do
			depmod -b "$PWD/root" "${modules##*/}" || exit
		done
		: >"$kernel_name"
		rm -rf "${kernel_cache:?}/$1" && mv "$new" "$kernel_cache/$1"
	)
}

# kernel_use KIND: sets the variables to what is unpacked.
kernel_use() {
	kernel_root=$kernel_cache/$1/root
	kernel_image=$(ls "$kernel_root"/boot/vmlinuz-* 2>/dev/null)
	[ -n "$kernel_image" ] || { echo "no $1 kernel could be fetched" >&2 && return 1; }
}

# kernel_locked COMMAND...: one at a time; tests run side by side.
kernel_locked() {
	mkdir -p "$kernel_cache" || return
	(flock 9 && "$@") 9>"$kernel_cache/lock"
}

kernel_stock_fetch() {
	kernel_fetch stock linux-image-amd64 || {
		[ "$(id -u)" = 0 ] && apt-get update -q >/dev/null && kernel_fetch stock linux-image-amd64
	}
}

kernel_stock() {
	kernel_locked kernel_stock_fetch || :
	kernel_use stock
}

# The backports may not be among the system's sources, and are not put there: apt is given lists of
# its own, of the same mirror.
kernel_cloud_fetch() {
	apt=$kernel_cache/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
	# shellcheck disable=SC2016 # apt's variables
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1)
	[ -n "$mirror" ] || { echo "apt knows no mirror of bookworm" >&2 && return 1; }
	printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n' \
		"$mirror" /usr/share/keyrings/debian-archive-keyring.gpg >"$apt/backports.sources"
	cat >"$apt/config" <<-CONFIG
		Dir::Etc::SourceList "$apt/backports.sources";
		Dir::Etc::SourceParts "$apt/parts";
		Dir::State::Lists "$apt/lists";
		Dir::State::Status "/dev/null";
		Dir::Cache "$apt/cache";
	CONFIG
	APT_CONFIG=$apt/config
	export APT_CONFIG
	apt-get update -q >"$apt/log" 2>&1 || { cat "$apt/log" >&2 && return 1; }
	kernel_fetch cloud linux-image-cloud-amd64
}

kernel_cloud() {
	kernel_locked kernel_cloud_fetch || :
	kernel_use cloud
}
