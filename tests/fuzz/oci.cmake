if(TARGET ovbd_fs)
  ovbd_fuzz(oci SOURCES fuzz_oci.c DEPS ovbd_oci)
  ovbd_fuzz(oci_archive SOURCES fuzz_oci_archive.c DEPS ovbd_oci)
endif()
