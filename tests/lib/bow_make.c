// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/bow_make.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void put(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

void bow_make_fill(uint8_t *buf, size_t n, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = (uint8_t)(x >> 24);
	}
}

uint32_t bow_make_checksum(const struct bow_make *m, uint64_t source, uint64_t dest, uint32_t size)
{
	uint32_t crc = (uint32_t)(source / m->block);

	for (uint32_t i = 0; i < size; i++) {
		crc ^= m->disk[dest + i];
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
	}
	return crc;
}

static void write_header(struct bow_make *m)
{
	put(m->disk, 0x00574f42, 4);
	if (m->layout != BOW_MAKE_1_0) {
		put(m->disk + 4, m->count, 4);
		put(m->disk + 8, m->sequence, 4);
		if (m->layout == BOW_MAKE_PROTOTYPE)
			put(m->disk + 12, m->sector0 / 512, 8);
		return;
	}
	put(m->disk + 4, 0x0100, 2);
	put(m->disk + 6, m->header, 2);
	put(m->disk + 8, m->block, 4);
	put(m->disk + 12, m->count, 4);
	put(m->disk + 16, m->sequence, 4);
	put(m->disk + 20, m->sector0 / 512, 8);
}

static void add(struct bow_make *m, const struct bow_make_entry *e)
{
	uint8_t *p = m->disk + m->header + m->count * 24;

	m->count++;
	put(p, e->source / 512, 8);
	put(p + 8, e->dest / 512, 8);
	put(p + 16, e->size, 4);
	put(p + 20, e->checksum, 4);
	write_header(m);
	m->entries = realloc(m->entries, (m->nentries + 1) * sizeof(*m->entries));
	assert(m->entries);
	m->entries[m->nentries++] = *e;
}

/* Block 0 of the disk goes to spare, as entry 0. */
static void begin_block(struct bow_make *m)
{
	const struct bow_make_entry e = {
		.dest = m->spare,
		.size = m->block,
		.checksum = bow_make_checksum(m, 0, 0, m->block),
	};

	memcpy(m->disk + m->spare, m->disk, m->block);
	m->spare += m->block;
	m->count = 0;
	memset(m->disk, 0, m->block);
	add(m, &e);
}

void bow_make_begin(struct bow_make *m, uint8_t *disk, size_t size, enum bow_make_layout layout,
                    uint32_t block, uint32_t header, uint64_t sector0, uint64_t spare)
{
	static const uint32_t headers[] = {28, 12, 20};

	*m = (struct bow_make){.disk = disk,
	                       .size = size,
	                       .layout = layout,
	                       .block = block,
	                       .header = header ? header : headers[layout],
	                       .sector0 = sector0,
	                       .live = sector0,
	                       .spare = spare};
	memcpy(disk + sector0, disk, block);
	begin_block(m);
}

void bow_make_end(struct bow_make *m)
{
	free(m->entries);
	m->entries = NULL;
}

void bow_make_log(struct bow_make *m, const struct bow_make_entry *e)
{
	if (m->header + (m->count + 1) * 24 > m->block) {
		m->sequence++;
		begin_block(m);
	}
	add(m, e);
}

void bow_make_backup(struct bow_make *m, uint64_t source, uint64_t dest, uint32_t size)
{
	const struct bow_make_entry e = {source, dest, size,
	                                 bow_make_checksum(m, source, source, size)};

	memcpy(m->disk + dest, m->disk + source, size);
	bow_make_log(m, &e);
}

void bow_make_move(struct bow_make *m, uint64_t dest)
{
	const struct bow_make_entry e = {m->live, dest, m->block, 0};

	memcpy(m->disk + dest, m->disk + m->live, m->block);
	bow_make_log(m, &e);
	m->live = m->sector0 = dest;
}

void bow_make_relocate(struct bow_make *m, uint64_t dest)
{
	m->live = m->sector0 = dest;
	write_header(m);
}

void bow_make_undo(const struct bow_make *m, uint8_t *disk)
{
	for (size_t i = m->nentries; i > 0; i--) {
		const struct bow_make_entry *e = &m->entries[i - 1];

		memcpy(disk + e->source, disk + e->dest, e->size);
	}
}
