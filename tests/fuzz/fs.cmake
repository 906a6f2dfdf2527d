if(TARGET ovbd_fs)
  ovbd_fuzz(fs_tar SOURCES fuzz_fs_tar.c DEPS ovbd_fs)
endif()
