ovbd_unit(unit_bow_format SOURCES bow_format.c DEPS ovbd_bow LABELS unit)
