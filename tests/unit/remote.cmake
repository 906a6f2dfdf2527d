ovbd_unit(unit_remote_http SOURCES remote_http.c DEPS ovbd_remote LABELS unit)
ovbd_unit(unit_remote_cache SOURCES remote_cache.c DEPS ovbd_remote ovbd_test LABELS unit threads)
ovbd_unit(unit_remote_cache_key SOURCES remote_cache_key.c DEPS ovbd_remote LABELS unit)
ovbd_unit(unit_remote_cache_whole SOURCES remote_cache_whole.c DEPS ovbd_remote ovbd_test LABELS unit threads slow)
ovbd_unit(unit_remote_lazy SOURCES remote_lazy.c DEPS ovbd_remote LABELS unit threads)
ovbd_unit(unit_remote_http_challenge SOURCES remote_http_challenge.c DEPS ovbd_remote LABELS unit)
ovbd_unit(unit_remote_http_url SOURCES remote_http_url.c DEPS ovbd_remote LABELS unit)
set(sealed ${CMAKE_CURRENT_SOURCE_DIR}/../lib/sealed.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/wire.c)
ovbd_unit(unit_remote_verity SOURCES remote_verity.c ${sealed} DEPS ovbd_remote LABELS unit threads)
ovbd_unit(unit_remote_verity_make SOURCES remote_verity_make.c ${sealed} DEPS ovbd_remote LABELS unit)
ovbd_unit(
  unit_remote_verity_fault
  SOURCES remote_verity_fault.c ${sealed}
  DEPS ovbd_remote ovbd_test_malloc
  LABELS unit)
ovbd_unit(unit_remote_verity_cache SOURCES remote_verity_cache.c ${sealed} DEPS ovbd_remote LABELS unit)
ovbd_unit(unit_remote_ahead SOURCES remote_ahead.c DEPS ovbd_remote ovbd_test LABELS unit threads)
ovbd_unit(unit_remote_http_story SOURCES remote_http_story.c DEPS ovbd_remote LABELS unit)
ovbd_unit(unit_remote_cache_admin SOURCES remote_cache_admin.c DEPS ovbd_remote ovbd_test LABELS unit threads slow)
