if(TARGET ovbd)
  ovbd_script(golden_structure structure.sh LABELS golden)
  ovbd_script(golden_fixtures fixtures.sh LABELS golden TIMEOUT 300)
endif()
