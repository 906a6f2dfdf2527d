ovbd_unit(unit_remote_http SOURCES remote_http.c DEPS ovbd_remote LABELS unit)
