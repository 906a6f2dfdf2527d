ovbd_fuzz(cow SOURCES fuzz_cow.c DEPS ovbd_ota)
