#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ovbdd in the place of overlaybd's daemon: its configuration, its image configurations, the snapshotter's writes.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
stock_kernel
tree_image

# As the snapshotter has them: one layer in its directory, one by its older name, one in the registry.
cp -r tree other
echo "of the upper layer" >other/numbers
truncate -s 16M upper
mkfs.ext4 -q -d other upper
(cd other && find . -type f ! -name SHA256SUMS -exec sha256sum {} +) >files/sums
"$ovbd" convert -q --tar image base.tar
"$ovbd" convert -q -B image upper delta
mkdir -p files/www/v2/app/blobs files/www/v2/denied/blobs files/snapshots/1/fs files/snapshots/2/fs
digest=sha256:$(sha256sum base.tar | cut -d' ' -f1)
cp base.tar files/www/v2/app/blobs/"$digest"
cp base.tar files/www/v2/denied/blobs/"$digest"
cp base.tar files/snapshots/1/fs/overlaybd.commit
cp delta files/snapshots/2/fs/.commit
cp upper files/upper
echo "/v2/denied:user:geheim42" >files/httpd.conf
mkdir -p files/snapshots/4/fs files/snapshots/5/fs
ln -s "$ovbd" overlaybd-create
./overlaybd-create files/snapshots/4/fs/writable_data files/snapshots/4/fs/writable_index 0
./overlaybd-create files/snapshots/5/fs/writable_data files/snapshots/5/fs/writable_index 0 -s

# A layer of the original's tools, where there are any.
fixtures=${OVBD_FIXTURES:-}/overlaybd
if [ -e "$fixtures/EXPECTED.tsv" ]; then
	cp "$fixtures/lsmt/L0.sealed" files/sealed
	awk '$1 == "L0" { print $2 }' "$fixtures/EXPECTED.tsv" >files/sealed.sha256
fi

mkdir -p files/etc/overlaybd
cat >files/etc/overlaybd/overlaybd.json <<'JSON'
{
    "logConfig": {
        "logLevel": 1,
        "logPath": "/var/log/overlaybd.log"
    },
    "cacheConfig": {
        "cacheType": "file",
        "cacheDir": "/opt/overlaybd/registry_cache",
        "cacheSizeGB": 4
    },
    "credentialConfig": {
        "mode": "file",
        "path": "/opt/overlaybd/cred.json"
    },
    "ioEngine": 0,
    "download": {
        "enable": true,
        "delay": 600,
        "delayExtra": 30,
        "maxMBps": 100
    },
    "p2pConfig": {
        "enable": false,
        "address": "localhost:19145/dadip2p"
    },
    "exporterConfig": {
        "enable": true,
        "uriPrefix": "/metrics",
        "port": 9863,
        "updateInterval": 60000000
    },
    "enableAudit": true,
    "auditPath": "/var/log/overlaybd-audit.log",
    "registryFsVersion": "v2"
}
JSON
# shellcheck disable=SC2086 # several words
guest drop-in.sh $with_snapshotter -m "$tcmu_modules" -b "$OVBD_BUILD/daemon/ovbdd" -b "$ovbd" -t 300 -r 640
