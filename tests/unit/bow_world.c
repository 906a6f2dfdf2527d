// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "bow/format.h"
#include "tests/unit/bow_world.h"

static void told(void *arg, const char *sentence)
{
	struct world *w = arg;

	snprintf(w->told, sizeof(w->told), "%s", sentence);
}

void world_reopen(struct world *w, struct ovbd_bow_params p)
{
	struct ovbd_error err;

	ovbd_device_close(w->d);
	w->mem.bytes = w->disk;
	w->mem.size = w->size;
	p.told = told;
	p.arg = w;
	assert_ok(ovbd_bow_open(test_mem_device(&w->mem), &p, &w->d, &err), err);
}

void world_setup(struct world *w, size_t size, struct ovbd_bow_params p)
{
	*w = (struct world){.size = size, .random = size};
	w->disk = malloc(size);
	w->copy = malloc(size);
	w->want = malloc(size);
	w->known = malloc(size);
	w->origin = malloc(size);
	w->original = malloc(size);
	for (size_t i = 0; i < size; i++)
		w->disk[i] = (uint8_t)test_random(&w->random);
	memcpy(w->want, w->disk, size);
	memset(w->known, 1, size);
	world_reopen(w, p);
}

void world_teardown(struct world *w)
{
	ovbd_device_close(w->d);
	free(w->disk);
	free(w->copy);
	free(w->want);
	free(w->known);
	free(w->origin);
	free(w->original);
}

void world_write(struct world *w, uint64_t off, size_t len)
{
	struct ovbd_error err;

	for (size_t i = 0; i < len; i++)
		w->want[off + i] = (uint8_t)test_random(&w->random);
	memset(w->known + off, 1, len);
	assert_ok(ovbd_device_pwrite(w->d, w->want + off, len, off, 0, &err), err);
}

void world_discard(struct world *w, uint64_t off, size_t len)
{
	struct ovbd_error err;

	memset(w->known + off, 0, len);
	assert_ok(ovbd_device_discard(w->d, off, len, &err), err);
}

void world_checkpoint(struct world *w)
{
	struct ovbd_error err;

	memcpy(w->origin, w->want, w->size);
	memcpy(w->original, w->known, w->size);
	assert_ok(ovbd_bow_checkpoint(w->d, &err), err);
}

void world_same(const uint8_t *got, const uint8_t *want, const uint8_t *known, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (known[i] && got[i] != want[i])
			fail_msg("byte %zu is %02x, not %02x", i, got[i], want[i]);
}

void world_reads_right(struct world *w)
{
	struct ovbd_error err;

	assert_ok(ovbd_blob_pread(w->d->blob, w->copy, w->size, 0, &err), err);
	world_same(w->copy, w->want, w->known, w->size);
}

/* Undoes one log block; false: it was the first. */
static bool undo_block(uint8_t *disk, size_t size)
{
	uint8_t block[BOW_BLOCK_MAX];
	struct bow_header h;
	struct ovbd_error err;

	assert_ok(ovbd_bow_header_decode(disk, size, &h, &err), err);
	memcpy(block, disk, h.block_size);
	for (uint32_t i = h.count; i-- > 0;) {
		struct bow_entry e;

		assert_ok(ovbd_bow_entry_decode(block, &h, i, size, &e, &err), err);
		assert_int_equal(e.checksum,
		                 ovbd_bow_checksum(ovbd_bow_checksum_seed(e.source, h.block_size),
		                                   disk + e.dest, e.size));
		memmove(disk + e.source, disk + e.dest, e.size);
	}
	return h.sequence > 0;
}

/* What the log leads back to, in the simplest way. */
void world_restores_right(struct world *w)
{
	memcpy(w->copy, w->disk, w->size);
	while (undo_block(w->copy, w->size))
		;
	world_same(w->copy, w->origin, w->original, w->size);
}

struct ovbd_bow_status world_status(struct world *w)
{
	struct ovbd_bow_status s;

	ovbd_bow_get_status(w->d, &s);
	return s;
}
