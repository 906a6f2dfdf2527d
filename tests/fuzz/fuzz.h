/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target defines: it must neither crash nor hang nor leak, whatever the bytes. */
#ifndef OVBD_TESTS_FUZZ_FUZZ_H
#define OVBD_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
