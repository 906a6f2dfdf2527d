// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "image/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BLOB *b = NULL;
	uint64_t off, len;

	if (ovbd_blob_open_mem(data, size, &b, NULL) < 0)
		return 0;
	if (ovbd_tar_member(b, &off, &len, NULL) == 1 && !ovbd_within(off, len, size))
		abort();
	return 0;
}
