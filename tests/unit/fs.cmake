if(TARGET ovbd_fs)
  ovbd_unit(unit_fs_tar SOURCES fs_tar.c DEPS ovbd_fs ovbd_test LABELS unit)
  ovbd_unit(unit_fs_members SOURCES fs_members.c DEPS ovbd_fs ovbd_test LABELS unit)
endif()
