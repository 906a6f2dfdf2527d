ovbd_fuzz(http_answer SOURCES fuzz_http_answer.c DEPS ovbd_remote)
