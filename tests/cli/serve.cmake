foreach(story confine dead end errors http list loop prefetch read run stack trace upper user write)
  ovbd_script(cli_serve_${story} serve-${story}.sh LABELS cli TIMEOUT 120)
endforeach()
ovbd_script(cli_serve_faults serve-faults.sh LABELS cli slow TIMEOUT 240)
set_tests_properties(cli_serve_faults PROPERTIES COST 40) # it waits most of the time: beside others
