if(NOT TARGET ovbd_ota)
  return()
endif()
ovbd_unit(
  prop_ota_merge
  SOURCES ota_merge.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_cuts.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_random.c
  DEPS ovbd_ota ovbd_test
  LABELS prop)
ovbd_unit(
  prop_ota_cow_create
  SOURCES ota_cow_create.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_cuts.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/kept.c
  DEPS ovbd_ota ovbd_test
  LABELS prop threads
  TIMEOUT 900)
ovbd_script(prop_ota_cow_rules ota-cow-rules.sh LABELS prop)
ovbd_unit(
  prop_ota_exceptions
  SOURCES ota_exceptions.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_random.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_runs.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/dm_snapshot.c
  DEPS ovbd_ota ovbd_test
  LABELS prop)
