// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"

#include "image/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovbd_hosts h;

	ovbd_hosts_parse((const char *)data, size, "fuzz", "/d", &h, NULL);
	ovbd_hosts_free(&h);
	return 0;
}
