ovbd_fuzz(zfile SOURCES fuzz_zfile.c DEPS ovbd_zfile)
