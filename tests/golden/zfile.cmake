ovbd_unit(golden_zfile SOURCES zfile.c DEPS ovbd_zfile LABELS golden)
