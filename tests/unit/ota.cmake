ovbd_unit(unit_ota_cow SOURCES ota_cow.c DEPS ovbd_ota ovbd_test_malloc LABELS unit threads)
