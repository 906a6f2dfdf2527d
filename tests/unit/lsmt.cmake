if(NOT TARGET ovbd_lsmt)
  return()
endif()
set(lsmt_make ${CMAKE_CURRENT_SOURCE_DIR}/../lib/lsmt_make.c)
foreach(what format layer refs writer should_fail)
  ovbd_unit(
    unit_lsmt_${what}
    SOURCES lsmt_${what}.c ${lsmt_make}
    DEPS ovbd_lsmt ovbd_test_malloc
    LABELS unit)
endforeach()
ovbd_unit(unit_lsmt_index SOURCES lsmt_index.c DEPS ovbd_lsmt ovbd_test LABELS unit)
ovbd_unit(
  unit_lsmt_stack
  SOURCES lsmt_stack.c ${lsmt_make}
  DEPS ovbd_lsmt ovbd_test_malloc
  LABELS unit threads)
ovbd_unit(
  unit_lsmt_rw
  SOURCES lsmt_rw.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/mem_device.c
  DEPS ovbd_lsmt ovbd_test
  LABELS unit)
ovbd_unit(
  unit_lsmt_rw_held
  SOURCES lsmt_rw_held.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/mem_device.c
  DEPS ovbd_lsmt ovbd_test
  LABELS unit threads)
ovbd_unit(
  unit_lsmt_rw_log
  SOURCES lsmt_rw_log.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/mem_device.c
  DEPS ovbd_lsmt ovbd_test_malloc
  LABELS unit threads)
