set(lib ${CMAKE_CURRENT_SOURCE_DIR}/../lib)
ovbd_unit(golden_cow SOURCES cow.c ${lib}/cow_fixtures.c ${lib}/dm_snapshot.c DEPS ovbd_ota LABELS golden)
ovbd_unit(
  golden_cow_merge
  SOURCES cow_merge.c ${lib}/cow_cuts.c ${lib}/cow_fixtures.c
  DEPS ovbd_ota ovbd_test
  TIMEOUT 900
  LABELS golden)
