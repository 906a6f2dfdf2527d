set(zfile_make ${CMAKE_CURRENT_SOURCE_DIR}/../lib/zfile_make.c)
foreach(what format reader writer check should_fail)
  ovbd_unit(
    unit_zfile_${what}
    SOURCES zfile_${what}.c ${zfile_make}
    DEPS ovbd_zfile ovbd_test
    LABELS unit)
endforeach()
ovbd_unit(
  unit_zfile_malloc
  SOURCES zfile_malloc.c ${zfile_make}
  DEPS ovbd_zfile ovbd_test_malloc
  LABELS unit)
