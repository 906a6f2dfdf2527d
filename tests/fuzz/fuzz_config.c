// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "image/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;

	ovbd_config_probe((const char *)data, size);
	ovbd_config_parse((const char *)data, size, "fuzz", &c, NULL);
	return 0;
}
