ovbd_fuzz(scsi SOURCES fuzz_scsi.c DEPS ovbd_daemon)
ovbd_fuzz(nbd SOURCES fuzz_nbd.c DEPS ovbd_daemon)
ovbd_fuzz(tcmu_netlink SOURCES fuzz_tcmu_netlink.c DEPS ovbd_daemon)
