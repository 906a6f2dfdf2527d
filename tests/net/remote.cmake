add_library(ovbd_test_net STATIC fixture.c matrix.c nginx.c patience.c proxy.c server.c)
add_dependencies(ovbd_test_net fault_proxy)
target_link_libraries(ovbd_test_net PUBLIC ovbd_remote ovbd_test PkgConfig::CMOCKA)

foreach(what auth broken cut fault hosts lies matrix nginx redirect time tls)
  ovbd_unit(net_http_${what} SOURCES http_${what}.c DEPS ovbd_test_net LABELS net TIMEOUT 60)
endforeach()
ovbd_unit(net_http_threads SOURCES http_threads.c DEPS ovbd_test_net LABELS net threads TIMEOUT 60)
target_link_libraries(test_net_http_fault PRIVATE ovbd_test_malloc)
if(TARGET ovbd)
  ovbd_unit(net_image_storm SOURCES image_storm.c DEPS ovbd_test_net ovbd_image LABELS net threads
            TIMEOUT 240)
  add_dependencies(test_net_image_storm ovbd)
endif()
