// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/bow_undo.h"

#include <string.h>

#include "base/bytes.h"

#define SECTOR  512u
#define MAGIC   0x00574f42u /* "BOW" */
#define PARTIAL 0x00424f57u
#define HEADER  28u
#define ENTRY   24u

struct head {
	uint32_t magic, version, header_size, block_size, count, sequence;
};

static struct head head_of(const uint8_t *p)
{
	return (struct head){
		.magic = ovbd_get_le32(p),
		.version = ovbd_get_le16(p + 4),
		.header_size = ovbd_get_le16(p + 6),
		.block_size = ovbd_get_le32(p + 8),
		.count = ovbd_get_le32(p + 12),
		.sequence = ovbd_get_le32(p + 16),
	};
}

/* Not inverted at either end. */
static uint32_t checksum(uint32_t crc, const uint8_t *p, uint64_t len)
{
	static uint32_t table[256];

	for (uint32_t i = 0; i < 256 && table[255] == 0; i++) {
		table[i] = i;
		for (unsigned bit = 0; bit < 8; bit++)
			table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320u : table[i] >> 1;
	}
	for (uint64_t i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
	return crc;
}

static const char *undo_entry(uint8_t *bytes, uint64_t size, const uint8_t *entry,
                              const struct head *h)
{
	const uint64_t source = ovbd_get_le64(entry) * SECTOR;
	const uint64_t dest = ovbd_get_le64(entry + 8) * SECTOR;
	const uint32_t len = ovbd_get_le32(entry + 16), sum = ovbd_get_le32(entry + 20);

	if (!ovbd_within(source, len, size) || !ovbd_within(dest, len, size))
		return "an entry beyond the device";
	if (len == 0 || source % h->block_size || dest % h->block_size || len % h->block_size)
		return "an entry of no whole blocks";
	if (dest == 0 || (source < dest + len && dest < source + len))
		return "an entry over itself, or in block 0";
	if (sum != 0 && sum != checksum((uint32_t)(source / h->block_size), bytes + dest, len))
		return "a checksum";
	memcpy(bytes + source, bytes + dest, len);
	return NULL;
}

static const char *check_head(const struct head *h, const struct head *newer, uint64_t size)
{
	if (h->magic != MAGIC && (newer || h->magic != PARTIAL))
		return "a magic";
	if (h->version != 0x0100 || h->header_size != HEADER)
		return "a version";
	if (h->block_size < SECTOR || h->block_size > 4096 || size % h->block_size ||
	    (h->block_size & (h->block_size - 1)))
		return "a block size";
	if (h->count > (h->block_size - HEADER) / ENTRY)
		return "a count";
	if (newer && (h->block_size != newer->block_size || h->sequence + 1 != newer->sequence))
		return "a sequence";
	return NULL;
}

enum test_bow_undone test_bow_undo(uint8_t *bytes, uint64_t size, const char **ret_why)
{
	struct head h = head_of(bytes), newer;
	uint8_t block[4096];
	const char *why;

	if (h.magic != MAGIC && h.magic != PARTIAL)
		return TEST_BOW_NO_LOG;
	why = check_head(&h, NULL, size);
	if (!why && h.count == 0 && h.sequence == 0 && h.magic == MAGIC)
		return TEST_BOW_COMMITTING;
	while (!why) {
		memcpy(block, bytes, h.block_size);
		if (h.count == 0)
			why = "no entry";
		for (uint32_t i = h.count; i-- > 0 && !why;)
			why = undo_entry(bytes, size, block + HEADER + i * ENTRY, &h);
		if (!why && ovbd_get_le64(block + HEADER) != 0)
			why = "an entry 0 that is not block 0's";
		if (h.sequence == 0 || why)
			break;
		newer = h;
		h = head_of(bytes);
		why = check_head(&h, &newer, size);
	}
	*ret_why = why;
	return why ? TEST_BOW_NONSENSE : TEST_BOW_UNDONE;
}
