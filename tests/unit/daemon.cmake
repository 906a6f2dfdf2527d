ovbd_unit(unit_daemon_serve SOURCES daemon_serve.c DEPS ovbd_daemon LABELS unit threads TIMEOUT 60)
ovbd_unit(unit_daemon_log_file SOURCES daemon_log_file.c DEPS ovbd_daemon LABELS unit threads)
ovbd_unit(unit_daemon_settings SOURCES daemon_settings.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(unit_daemon_nbd SOURCES daemon_nbd.c DEPS ovbd_daemon LABELS unit threads TIMEOUT 60)
ovbd_unit(unit_daemon_nbd_proto SOURCES daemon_nbd_proto.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(
  unit_daemon_dmuser
  SOURCES daemon_dmuser.c dmuser_peer.c
  DEPS ovbd_daemon
  LABELS unit threads
  TIMEOUT 60)
ovbd_unit(unit_daemon_scsi SOURCES daemon_scsi.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(unit_daemon_confine SOURCES daemon_confine.c DEPS ovbd_daemon LABELS unit)
pkg_check_modules(SECCOMP_HERE QUIET IMPORTED_TARGET libseccomp>=2.5) # also where there is no filter
if(SECCOMP_HERE_FOUND AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64)$")
  ovbd_unit(
    unit_daemon_confine_arm64
    SOURCES daemon_confine_arm64.c
    DEPS ovbd_daemon PkgConfig::SECCOMP_HERE
    LABELS unit)
endif()
ovbd_unit(unit_daemon_transports SOURCES daemon_transports.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(unit_daemon_trimmed SOURCES daemon_trimmed.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(unit_daemon_adopt SOURCES daemon_adopt.c DEPS ovbd_daemon LABELS unit threads TIMEOUT 60)
ovbd_unit(unit_daemon_grow SOURCES daemon_grow.c DEPS ovbd_daemon LABELS unit threads TIMEOUT 60)
ovbd_unit(unit_daemon_expect SOURCES daemon_expect.c DEPS ovbd_daemon LABELS unit threads TIMEOUT 60)
ovbd_unit(unit_daemon_helper SOURCES daemon_helper.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(unit_daemon_devices_end SOURCES daemon_devices_end.c DEPS ovbd_daemon LABELS unit threads)
ovbd_unit(unit_daemon_genl SOURCES daemon_genl.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(
  unit_daemon_tcmu_serve
  SOURCES daemon_tcmu_serve.c
  DEPS ovbd_daemon
  LABELS unit threads
  TIMEOUT 60)
ovbd_unit(unit_daemon_tcmu_nodes SOURCES daemon_tcmu_nodes.c DEPS ovbd_daemon LABELS unit)
ovbd_unit(unit_daemon_tcmu SOURCES daemon_tcmu.c DEPS ovbd_daemon LABELS unit)
if(FUSE3_FOUND)
  ovbd_unit(unit_daemon_devices SOURCES daemon_devices.c DEPS ovbd_daemon LABELS unit threads)
  ovbd_unit(unit_daemon_mountinfo SOURCES daemon_mountinfo.c DEPS ovbd_daemon LABELS unit)
  ovbd_unit(
    unit_daemon_fuse
    SOURCES daemon_fuse.c
    DEPS ovbd_daemon ovbd_test_malloc
    LABELS unit threads
    TIMEOUT 60)
endif()
if(URING_FOUND)
  ovbd_unit(
    unit_daemon_ublk_work
    SOURCES daemon_ublk_work.c
    DEPS ovbd_daemon
    LABELS unit threads
    TIMEOUT 60)
  ovbd_unit(unit_daemon_ublk SOURCES daemon_ublk.c DEPS ovbd_daemon LABELS unit)
endif()
