ovbd_fuzz(http_answer SOURCES fuzz_http_answer.c DEPS ovbd_remote)
ovbd_fuzz(http_challenge SOURCES fuzz_http_challenge.c DEPS ovbd_remote)
ovbd_fuzz(verity SOURCES fuzz_verity.c DEPS ovbd_remote)
