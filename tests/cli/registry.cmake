foreach(story basic-tls convert mirror names token)
  ovbd_script(cli_registry_${story} registry-${story}.sh LABELS cli TIMEOUT 120)
endforeach()
