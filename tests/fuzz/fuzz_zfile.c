// SPDX-License-Identifier: Apache-2.0
/*
 * Opens, checks and reads a ZFile. As no digest would survive the fuzzer's changes, every input is
 * also tried with the flag cleared that says there are digests.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "zfile/format.h"
#include "zfile/zfile.h"

#define RAW_MAX (4u << 20)

/* The same range at once and in odd steps: both fail, or both give the same. */
static void read_twice(struct ovbd_blob *b, size_t len)
{
	uint8_t *whole = malloc(len + 1), *steps = malloc(len + 1);
	const int r = ovbd_blob_pread(b, whole, len, 0, NULL);
	int r2 = 0;

	for (size_t off = 0; r2 == 0 && off < len;) {
		const size_t n = (size_t)ovbd_min(2999, len - off);

		r2 = ovbd_blob_pread(b, steps + off, n, off, NULL);
		off += n;
	}
	if (r != r2 || (r == 0 && memcmp(whole, steps, len) != 0))
		abort();
	free(whole);
	free(steps);
}

static void try_open(const uint8_t *data, size_t size)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	uint8_t byte;

	if (ovbd_blob_open_mem(data, size, &b, NULL) < 0 ||
	    ovbd_zfile_open(OVBD_MOVE(b), &b, &err) < 0 || b->size == 0)
		return;
	(void)ovbd_blob_pread(b, &byte, 1, b->size - 1, &err);
	if (b->size > RAW_MAX)
		return;
	read_twice(b, (size_t)b->size);
	(void)ovbd_zfile_check(b, NULL, NULL, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	try_open(data, size);
	if (size < 2 * ZFILE_HEADER_SIZE)
		return 0;
	copy = malloc(size);
	memcpy(copy, data, size);
	copy[ZFILE_OFF_FLAGS] &= (uint8_t)~ZFILE_FLAG_DIGEST;
	copy[size - ZFILE_HEADER_SIZE + ZFILE_OFF_FLAGS] &= (uint8_t)~ZFILE_FLAG_DIGEST;
	try_open(copy, size);
	free(copy);
	return 0;
}
