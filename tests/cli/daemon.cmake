foreach(
  story
  attach
  bow
  cache
  config
  confine
  doctor
  drop-in
  list
  many
  metrics
  nbd
  notify
  resize
  restart
  snapshot
  snapuserd
  storm
  trace
  update
  upper)
  ovbd_script(cli_daemon_${story} daemon-${story}.sh LABELS cli TIMEOUT 120)
endforeach()
foreach(story download download-troubles)
  ovbd_script(cli_${story} ${story}.sh LABELS cli TIMEOUT 240)
endforeach()
foreach(story faults shared snapshot-ends troubles) # half a minute each
  ovbd_script(cli_daemon_${story} daemon-${story}.sh LABELS cli slow TIMEOUT 240)
endforeach()

# What an intruder would try, for daemon-confine.sh; a sanitizer wants to be the first that is loaded.
if(NOT OVBD_SANITIZE)
  add_library(confine_probe MODULE ${CMAKE_CURRENT_SOURCE_DIR}/../lib/confine_probe.c)
  target_link_libraries(confine_probe PRIVATE ovbd_flags)
endif()
