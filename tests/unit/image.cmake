ovbd_unit(unit_image_tar SOURCES image_tar.c DEPS ovbd_image LABELS unit)
ovbd_unit(unit_image_config SOURCES image_config.c DEPS ovbd_image ovbd_test_malloc LABELS unit)
ovbd_unit(unit_image_refs SOURCES image_refs.c DEPS ovbd_image LABELS unit)
ovbd_unit(unit_image_open SOURCES image_open.c DEPS ovbd_image ovbd_test_malloc LABELS unit threads)
