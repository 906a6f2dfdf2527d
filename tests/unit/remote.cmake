ovbd_unit(unit_remote_http SOURCES remote_http.c DEPS ovbd_remote LABELS unit)
ovbd_unit(unit_remote_cache SOURCES remote_cache.c DEPS ovbd_remote ovbd_test LABELS unit threads)
ovbd_unit(unit_remote_lazy SOURCES remote_lazy.c DEPS ovbd_remote LABELS unit threads)
