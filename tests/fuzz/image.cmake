ovbd_fuzz(tar SOURCES fuzz_tar.c DEPS ovbd_image)
ovbd_fuzz(config SOURCES fuzz_config.c DEPS ovbd_image)
ovbd_fuzz(trace SOURCES fuzz_trace.c DEPS ovbd_image)
