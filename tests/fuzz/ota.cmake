ovbd_fuzz(cow SOURCES fuzz_cow.c DEPS ovbd_ota)
ovbd_fuzz(dm_snapshot SOURCES fuzz_dm_snapshot.c DEPS ovbd_ota)
ovbd_fuzz(dm_update SOURCES fuzz_dm_update.c DEPS ovbd_ota)
