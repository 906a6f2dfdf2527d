add_library(ovbd_test_net STATIC server.c)
target_link_libraries(ovbd_test_net PUBLIC ovbd_remote ovbd_test PkgConfig::CMOCKA)

foreach(what lies time threads nginx)
  ovbd_unit(net_http_${what} SOURCES http_${what}.c DEPS ovbd_test_net LABELS net TIMEOUT 60)
endforeach()
