if(NOT TARGET ovbd_ota)
  return()
endif()
ovbd_unit(
  prop_ota_merge
  SOURCES ota_merge.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_cuts.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/cow_random.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/power.c
  DEPS ovbd_ota ovbd_test
  LABELS prop)
