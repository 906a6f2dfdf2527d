if(TARGET ovbd)
  ovbd_unit(unit_tools_text SOURCES tools_text.c DEPS ovbd_tools LABELS unit)
  ovbd_unit(unit_tools_scan SOURCES tools_scan.c DEPS ovbd_tools LABELS "unit;threads")
endif()
