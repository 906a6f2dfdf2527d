if(NOT TARGET ovbd_bow)
  return()
endif()
set(lib ${CMAKE_CURRENT_SOURCE_DIR}/../lib)
ovbd_unit(
  prop_bow
  SOURCES bow.c ${lib}/bow_model.c ${lib}/bow_model_ops.c ${lib}/bow_disk.c ${lib}/bow_undo.c
  DEPS ovbd_bow
  LABELS prop)
ovbd_unit(
  prop_bow_threads
  SOURCES bow_threads.c ${lib}/bow_disk.c ${lib}/bow_undo.c
  DEPS ovbd_bow
  LABELS prop threads)
ovbd_unit(
  prop_bow_power
  SOURCES bow_power.c ${lib}/bow_story.c ${lib}/bow_story_threads.c ${lib}/bow_history.c ${lib}/bow_offline.c ${lib}/bow_disk.c
          ${lib}/bow_undo.c ${lib}/power.c
  DEPS ovbd_bow ovbd_test
  LABELS prop)
ovbd_script(prop_bow_facts bow-facts.sh LABELS prop)
