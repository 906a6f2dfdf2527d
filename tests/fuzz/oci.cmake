if(TARGET ovbd_fs)
  ovbd_fuzz(oci SOURCES fuzz_oci.c DEPS ovbd_oci)
endif()
