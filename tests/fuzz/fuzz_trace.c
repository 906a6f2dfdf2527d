// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "image/trace.h"
#include "image/trace_format.h"

/* What was decoded is encoded and decoded again; how long a record is may change, but not what all
 * of them name. */
static void check_again(const struct ovbd_trace *t)
{
	AUTO_FREE uint8_t *raw = NULL;
	AUTO_TRACE again = {0};
	size_t len;
	const int r = ovbd_trace_encode(t, &raw, &len, NULL);

	if (r == -E2BIG) /* a record of many MiB is many */
		return;
	if (r < 0 || ovbd_trace_decode(&again, raw, len, NULL) < 0 || again.n != t->n ||
	    ovbd_trace_size(&again) != ovbd_trace_size(t))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE uint8_t *copy = calloc(1, size + 1);
	AUTO_TRACE t = {0}, right = {0};

	if (!copy)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	if (ovbd_trace_decode(&t, copy, size, NULL) == 0)
		check_again(&t);
	if (size < TRACE_HEADER_SIZE)
		return 0;
	/* the same with a checksum that lets it go on */
	ovbd_put_le32(copy + TRACE_OFF_CHECKSUM,
	              ovbd_crc32c(0, copy + TRACE_HEADER_SIZE, size - TRACE_HEADER_SIZE));
	ovbd_put_le64(copy + TRACE_OFF_DATA_SIZE, size - TRACE_HEADER_SIZE);
	if (ovbd_trace_decode(&right, copy, size, NULL) == 0)
		check_again(&right);
	return 0;
}
