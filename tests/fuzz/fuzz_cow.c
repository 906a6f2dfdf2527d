// SPDX-License-Identifier: Apache-2.0
/*
 * Opens a COW, whole and up to its last label, over a small base and over none. What opens reads
 * the same at once and in odd steps; what can be merged into the base makes of it what was read.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/merge.h"

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

/* ---- merged ---- */

struct memory {
	struct ovbd_device device;
	uint8_t *p;
	size_t size;
};

static int memory_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                         unsigned flags, struct ovbd_error *err)
{
	(void)flags;
	(void)err;
	memcpy(OVBD_CONTAINER_OF(d, struct memory, device)->p + off, buf, len);
	return 0;
}

static int memory_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                         struct ovbd_error *err)
{
	(void)flags;
	(void)err;
	memset(OVBD_CONTAINER_OF(d, struct memory, device)->p + off, 0, (size_t)len);
	return 0;
}

static int memory_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	(void)d;
	(void)err;
	return 0;
}

static void memory_free(struct ovbd_device *d)
{
	free(OVBD_CONTAINER_OF(d, struct memory, device)->p);
	free(OVBD_CONTAINER_OF(d, struct memory, device));
}

/* A disk that holds n bytes at data, or, without, what a base may. */
static struct memory *disk(const uint8_t *data, size_t n)
{
	static const struct ovbd_device_ops ops = {.pwrite = memory_pwrite,
	                                           .write_zeroes = memory_zeroes,
	                                           .flush = memory_flush};
	struct memory *m = calloc(1, sizeof(*m));

	m->p = malloc(n + 1);
	m->size = n;
	for (size_t i = 0; i < n; i++)
		m->p[i] = data ? data[i] : (uint8_t)(i / 7);
	m->device.ops = &ops;
	m->device.free = memory_free;
	if (ovbd_blob_open_mem(m->p, n, &m->device.blob, NULL) < 0)
		abort();
	return m;
}

static void merge(const uint8_t *data, size_t size)
{
	const struct ovbd_merge_params how = {.small_groups = true, .group_blocks = 64};
	OVBD_AUTO(ovbd_merge_closep) struct ovbd_merge *m = NULL;
	struct memory *base = disk(NULL, BASE_SIZE);
	AUTO_FREE uint8_t *want = malloc(BASE_SIZE);
	struct ovbd_blob *view;
	struct ovbd_error err;
	int r;

	if (ovbd_merge_open(&disk(data, size)->device, &base->device, &how, &m, &err) < 0)
		return;
	if (ovbd_merge_view(m, &view, &err) < 0)
		abort();
	r = ovbd_blob_pread(view, want, BASE_SIZE, 0, NULL);
	ovbd_blob_close(view);
	if (r < 0) /* some data do not decompress */
		return;
	while ((r = ovbd_merge_step(m, &err)) > 0)
		;
	if (r < 0 || memcmp(base->p, want, BASE_SIZE) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ovbd_cow_params last = {.until = OVBD_COW_LAST_LABEL};

	try(data, size, NULL, true);
	try(data, size, NULL, false);
	try(data, size, &last, true);
	merge(data, size);
	return 0;
}
