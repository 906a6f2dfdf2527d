// SPDX-License-Identifier: Apache-2.0
/*
 * A device of any bytes that is opened and gone on with, or one whose map of what was free is of
 * any bytes. What is refused is not written to; of what is not, block 0 and what is written read
 * right, and nothing is free that is not discarded.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "bow/bow.h"
#include "bow/format.h"
#include "tests/lib/mem_device.h"

#define DEVICE_MAX (256u << 10)
#define BLOCK      512u
#define MAP        (40 * BLOCK)
#define MAP_SOURCE (50 * BLOCK)
#define MAP_SIZE   (8 * BLOCK)

static uint8_t bytes[DEVICE_MAX], before[DEVICE_MAX];

static void must(bool right)
{
	if (!right)
		abort();
}

/* 64 blocks, with runs in their map. */
static size_t make(const uint8_t *runs, size_t size)
{
	const struct bow_header h = {
		.header_size = BOW_HEADER_SIZE,
		.block_size = BLOCK,
		.count = 2,
		.sector0 = 62 * BLOCK,
	};
	const struct bow_entry block0 = {.dest = 61 * BLOCK, .size = BLOCK};
	const struct bow_entry e = {.source = MAP_SOURCE, .dest = MAP, .size = MAP_SIZE};
	uint8_t *map = bytes + MAP;

	size = ovbd_min(size, MAP_SIZE - BOW_MAP_HEADER_SIZE);
	memset(bytes, 0, 64 * BLOCK);
	ovbd_bow_header_encode(&h, bytes);
	ovbd_bow_entry_encode(&block0, bytes + ovbd_bow_entry_off(BOW_HEADER_SIZE, 0));
	ovbd_bow_entry_encode(&e, bytes + ovbd_bow_entry_off(BOW_HEADER_SIZE, 1));
	memcpy(map, "BOWM", 4);
	ovbd_put_le32(map + BOW_OFF_MAP_BLOCK_SIZE, BLOCK);
	ovbd_put_le64(map + BOW_OFF_MAP_RUNS_SIZE, size);
	ovbd_put_le64(map + BOW_OFF_MAP_SOURCE, MAP_SOURCE / BOW_SECTOR);
	ovbd_put_le64(map + BOW_OFF_MAP_DEST, MAP / BOW_SECTOR);
	memcpy(map + BOW_MAP_HEADER_SIZE, runs, size);
	ovbd_put_le32(map + BOW_OFF_MAP_CHECKSUM,
	              ~ovbd_crc32c(UINT32_MAX, map + 8, BOW_MAP_HEADER_SIZE - 8 + size));
	return 64 * BLOCK;
}

static void use(struct ovbd_device *d)
{
	struct ovbd_bow_status s;
	uint8_t buf[700], got[700];

	ovbd_bow_get_status(d, &s);
	must(s.free_bytes == 0);
	must(s.state == OVBD_BOW_TRIM || s.state == OVBD_BOW_CHECKPOINT);
	if (d->blob->size < 3 * sizeof(buf))
		return;
	ovbd_device_discard(d, 0, d->blob->size, NULL);
	memset(buf, 0x5a, sizeof(buf));
	for (uint64_t off = 0; off < d->blob->size - sizeof(buf); off += d->blob->size / 3)
		if (ovbd_device_pwrite(d, buf, sizeof(buf), off, 0, NULL) == 0) {
			must(ovbd_blob_pread(d->blob, got, sizeof(got), off, NULL) == 0);
			must(memcmp(got, buf, sizeof(got)) == 0);
		}
	ovbd_bow_commit(d, NULL);
	must(ovbd_blob_pread(d->blob, got, sizeof(got), 0, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_mem m = {.bytes = bytes};
	struct ovbd_device *d;

	if (size < 1)
		return 0;
	if (data[0] == 'M') {
		m.size = make(data + 1, size - 1);
	} else {
		m.size = ovbd_min(size, DEVICE_MAX);
		memcpy(bytes, data, m.size);
	}
	memcpy(before, bytes, m.size);
	if (ovbd_bow_open(test_mem_device(&m), NULL, &d, NULL) < 0) {
		must(memcmp(before, bytes, m.size) == 0);
		return 0;
	}
	use(d);
	ovbd_device_close(d);
	return 0;
}
