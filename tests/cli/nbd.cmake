foreach(story errors nbdkit read stress tls write)
  ovbd_script(cli_nbd_${story} nbd-${story}.sh LABELS cli TIMEOUT 120)
endforeach()
