ovbd_unit(golden_cow SOURCES cow.c DEPS ovbd_ota LABELS golden)
