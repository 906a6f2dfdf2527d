if(TARGET ovbd_bow)
  ovbd_fuzz(bow SOURCES fuzz_bow.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/mem_device.c DEPS ovbd_bow
            ovbd_test)
  ovbd_fuzz(bow_open SOURCES fuzz_bow_open.c ${CMAKE_CURRENT_SOURCE_DIR}/../lib/mem_device.c
            DEPS ovbd_bow ovbd_test)
endif()
