ovbd_unit(prop_remote_cache SOURCES remote_cache.c DEPS ovbd_remote ovbd_test LABELS prop slow)
