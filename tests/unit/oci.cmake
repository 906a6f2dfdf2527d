ovbd_unit(unit_oci_layout SOURCES oci_layout.c DEPS ovbd_oci LABELS unit)
ovbd_unit(unit_oci_push SOURCES oci_push.c DEPS ovbd_oci LABELS unit)
