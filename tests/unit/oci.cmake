ovbd_unit(unit_oci_layout SOURCES oci_layout.c DEPS ovbd_oci LABELS unit)
