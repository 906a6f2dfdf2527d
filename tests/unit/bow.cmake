ovbd_unit(unit_bow_format SOURCES bow_format.c DEPS ovbd_bow LABELS unit)

add_library(ovbd_test_bow STATIC ../lib/bow_make.c)
target_link_libraries(ovbd_test_bow PUBLIC ovbd_flags)
ovbd_unit(unit_bow_log SOURCES bow_log.c DEPS ovbd_bow ovbd_test_bow LABELS unit)
ovbd_unit(unit_bow_ranges SOURCES bow_ranges.c DEPS ovbd_bow ovbd_test_malloc LABELS unit)
ovbd_unit(unit_bow_device SOURCES bow_device.c ../lib/mem_device.c DEPS ovbd_bow ovbd_test LABELS unit)
