foreach(
  story
  attach
  config
  doctor
  many
  nbd
  restart)
  ovbd_script(cli_daemon_${story} daemon-${story}.sh LABELS cli TIMEOUT 120)
endforeach()
