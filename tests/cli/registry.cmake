foreach(story basic-tls mirror names token)
  ovbd_script(cli_registry_${story} registry-${story}.sh LABELS cli TIMEOUT 120)
endforeach()
