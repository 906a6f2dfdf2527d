ovbd_unit(prop_remote_cache SOURCES remote_cache.c DEPS ovbd_remote ovbd_test LABELS prop slow)
ovbd_unit(prop_remote_cache_power SOURCES remote_cache_power.c DEPS ovbd_remote ovbd_test_cut LABELS prop slow)
