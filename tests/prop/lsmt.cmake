if(NOT TARGET ovbd_lsmt)
  return()
endif()
ovbd_unit(
  prop_lsmt_writer
  SOURCES lsmt_writer.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/lsmt_make.c
  DEPS ovbd_lsmt
  LABELS prop)
ovbd_unit(prop_lsmt_merge SOURCES lsmt_merge.c DEPS ovbd_lsmt LABELS prop)
ovbd_unit(
  prop_lsmt_stack
  SOURCES lsmt_stack.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/lsmt_make.c
  DEPS ovbd_lsmt
  LABELS prop)
ovbd_unit(
  prop_lsmt_refs
  SOURCES lsmt_refs.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/lsmt_make.c
  DEPS ovbd_lsmt
  LABELS prop)
ovbd_unit(prop_lsmt_rw_index SOURCES lsmt_rw_index.c DEPS ovbd_lsmt LABELS prop threads)
set(rw_model ${CMAKE_CURRENT_SOURCE_DIR}/../lib/rw_model.c
             ${CMAKE_CURRENT_SOURCE_DIR}/../lib/lsmt_make.c)
ovbd_unit(prop_lsmt_rw SOURCES lsmt_rw.c ${rw_model} DEPS ovbd_lsmt LABELS prop threads)
ovbd_unit(
  prop_lsmt_rw_power
  SOURCES lsmt_rw_power.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/rw_history.c ${rw_model}
  DEPS ovbd_lsmt ovbd_test
  LABELS prop)
ovbd_unit(
  prop_lsmt_rw_full
  SOURCES lsmt_rw_full.c ${rw_model}
  DEPS ovbd_lsmt ovbd_test
  LABELS prop)
ovbd_unit(
  prop_lsmt_rw_seal
  SOURCES lsmt_rw_seal.c
          ${CMAKE_CURRENT_SOURCE_DIR}/../lib/mem_device.c ${rw_model}
  DEPS ovbd_lsmt ovbd_test
  LABELS prop)
if(TARGET ovbd)
  ovbd_unit(prop_lsmt_rw_life SOURCES lsmt_rw_life.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/rw_life.c DEPS ovbd_lsmt LABELS prop)
endif()
ovbd_unit(prop_lsmt_rw_space SOURCES lsmt_rw_space.c ${rw_model} DEPS ovbd_lsmt LABELS prop threads)
