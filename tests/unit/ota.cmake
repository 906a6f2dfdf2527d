ovbd_unit(unit_ota_cow SOURCES ota_cow.c DEPS ovbd_ota ovbd_test_malloc LABELS unit threads)
# a sanitizer's allocator does not say what is in use
if(NOT OVBD_SANITIZE)
  ovbd_unit(unit_ota_cow_memory SOURCES ota_cow_memory.c DEPS ovbd_ota LABELS unit)
endif()
ovbd_unit(
  unit_ota_merge
  SOURCES ota_merge.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_random.c
  DEPS ovbd_ota ovbd_test
  LABELS unit threads)
ovbd_unit(
  unit_ota_cow_writer
  SOURCES ota_cow_writer.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/kept.c
  DEPS ovbd_ota ovbd_test_malloc
  LABELS unit threads)
ovbd_unit(unit_ota_dm_snapshot SOURCES ota_dm_snapshot.c DEPS ovbd_ota ovbd_test_malloc LABELS unit)
ovbd_unit(unit_ota_dm_update SOURCES ota_dm_update.c DEPS ovbd_ota ovbd_test_malloc LABELS unit)
