// SPDX-License-Identifier: Apache-2.0
/* A dm-update file of any bytes, over a small base and over none. What opens reads the same at once
 * and in odd steps. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/dm_update.h"

#define BASE_SIZE (1u << 20)

static void read_twice(struct ovbd_blob *b, size_t len)
{
	uint8_t *whole = malloc(len + 1), *steps = malloc(len + 1);
	const int r = ovbd_blob_pread(b, whole, len, 0, NULL);
	struct ovbd_run run;
	int r2 = 0;

	for (size_t off = 0; r2 == 0 && off < len; off += 2999)
		r2 = ovbd_blob_pread(b, steps + off, (size_t)ovbd_min(2999, len - off), off, NULL);
	if (r != r2 || (r == 0 && memcmp(whole, steps, len) != 0))
		abort();
	for (uint64_t off = 0; off < len; off += run.len)
		if (ovbd_blob_run_at(b, off, len - off, &run, NULL) < 0)
			abort();
	free(whole);
	free(steps);
}

static void try(const uint8_t *data, size_t size, bool with_base)
{
	static const uint8_t old[BASE_SIZE];
	AUTO_BLOB *view = NULL;
	struct ovbd_blob *b, *base = NULL;
	struct ovbd_dm_update *u;
	struct ovbd_error err;

	if (ovbd_blob_open_mem(data, size, &b, NULL) < 0)
		return;
	if (ovbd_dm_update_probe(b, NULL) < 0)
		abort();
	if (ovbd_dm_update_open(b, &u, &err) < 0)
		return;
	ovbd_dm_update_check(u, NULL, NULL, &err);
	if (with_base && ovbd_blob_open_mem(old, sizeof(old), &base, NULL) < 0)
		abort();
	if (ovbd_dm_update_view_open(u, base, &view, &err) == 0)
		read_twice(view, (size_t)ovbd_min(view->size, BASE_SIZE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size, true);
	try(data, size, false);
	return 0;
}
