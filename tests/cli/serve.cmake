foreach(story dead end errors loop read run user)
  ovbd_script(cli_serve_${story} serve-${story}.sh LABELS cli TIMEOUT 120)
endforeach()
