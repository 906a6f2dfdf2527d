if(NOT TARGET ovbd_bow)
  return()
endif()
ovbd_unit(
  prop_bow_restore
  SOURCES bow_restore.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/power.c
  DEPS ovbd_bow ovbd_test_bow ovbd_test
  LABELS prop)
