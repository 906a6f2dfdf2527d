// SPDX-License-Identifier: Apache-2.0
/*
 * Opens a COW, whole and up to its last label, over a small base and over none. What opens reads
 * the same at once and in odd steps.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/cow.h"

#define BASE_SIZE (1u << 20)

static void read_twice(struct ovbd_blob *b, size_t len)
{
	uint8_t *whole = malloc(len + 1), *steps = malloc(len + 1);
	const int r = ovbd_blob_pread(b, whole, len, 0, NULL);
	int r2 = 0;

	for (size_t off = 0; r2 == 0 && off < len; off += 2999)
		r2 = ovbd_blob_pread(b, steps + off, (size_t)ovbd_min(2999, len - off), off, NULL);
	if (r != r2 || (r == 0 && memcmp(whole, steps, len) != 0))
		abort();
	free(whole);
	free(steps);
}

static void check_lists(const struct ovbd_cow *c)
{
	const struct ovbd_cow_info *info = ovbd_cow_info(c);
	const uint32_t n = ovbd_cow_count(c);
	uint8_t *seen = calloc((size_t)n + 1, 1);

	for (uint32_t i = 0; i < n; i++)
		if (seen[ovbd_cow_merge_order(c, i)]++)
			abort();
	if (info->nmerged > n || info->nops[1] + info->nops[2] + info->nops[3] + info->nops[6] != n)
		abort();
	free(seen);
}

static void try(const uint8_t *data, size_t size, const struct ovbd_cow_params *p, bool with_base)
{
	static uint8_t old[BASE_SIZE];
	static bool filled;
	AUTO_BLOB *view = NULL;
	struct ovbd_blob *b, *base = NULL;
	struct ovbd_cow *c;
	struct ovbd_error err;

	if (ovbd_blob_open_mem(data, size, &b, NULL) < 0)
		return;
	if (ovbd_cow_probe(b, NULL) < 0)
		abort();
	if (ovbd_cow_open(b, p, &c, &err) < 0)
		return;
	check_lists(c);
	for (size_t i = 0; !filled && i < sizeof(old); i++)
		old[i] = (uint8_t)(i / 7);
	filled = true;
	if (with_base && ovbd_blob_open_mem(old, sizeof(old), &base, NULL) < 0)
		abort();
	if (ovbd_cow_view_open(c, base, &view, &err) == 0)
		read_twice(view, (size_t)ovbd_min(view->size, BASE_SIZE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ovbd_cow_params last = {.until = OVBD_COW_LAST_LABEL};

	try(data, size, NULL, true);
	try(data, size, NULL, false);
	try(data, size, &last, true);
	return 0;
}
