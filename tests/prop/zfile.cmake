ovbd_unit(
  prop_zfile
  SOURCES zfile.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/zfile_make.c
  DEPS ovbd_zfile
  LABELS prop)
