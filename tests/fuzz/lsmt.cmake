if(TARGET ovbd_lsmt)
  ovbd_fuzz(layer SOURCES fuzz_layer.c DEPS ovbd_lsmt)
endif()
