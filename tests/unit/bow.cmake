ovbd_unit(unit_bow_format SOURCES bow_format.c DEPS ovbd_bow LABELS unit)

add_library(ovbd_test_bow STATIC ../lib/bow_make.c ../lib/bow_random.c)
target_link_libraries(ovbd_test_bow PUBLIC ovbd_flags)
ovbd_unit(unit_bow_log SOURCES bow_log.c DEPS ovbd_bow ovbd_test_bow LABELS unit)
ovbd_unit(unit_bow_ranges SOURCES bow_ranges.c DEPS ovbd_bow ovbd_test_malloc LABELS unit)

add_library(ovbd_test_bow_world STATIC bow_world.c ../lib/mem_device.c)
target_link_libraries(ovbd_test_bow_world PUBLIC ovbd_bow ovbd_test PkgConfig::CMOCKA)
ovbd_unit(unit_bow_device SOURCES bow_device.c DEPS ovbd_test_bow_world LABELS unit)
ovbd_unit(unit_bow_faults SOURCES bow_faults.c DEPS ovbd_test_bow_world ovbd_test_malloc LABELS unit)
ovbd_unit(unit_bow_threads SOURCES bow_threads.c DEPS ovbd_test_bow_world LABELS unit threads)
ovbd_unit(
  unit_bow_restore
  SOURCES bow_restore.c ../lib/mem_device.c
  DEPS ovbd_bow ovbd_test_bow ovbd_test_malloc
  LABELS unit)
