ovbd_fuzz(scsi SOURCES fuzz_scsi.c DEPS ovbd_daemon)
