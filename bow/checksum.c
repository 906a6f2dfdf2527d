// SPDX-License-Identifier: Apache-2.0
/*
 * zlib's crc32() inverts at both ends, the log's checksum at none, so it is turned back. What is
 * long is folded first, where the processor multiplies without carries: zlib is three times slower.
 */
#include "bow/checksum.h"

#include <zlib.h>

#include "bow/format.h"

static uint32_t plain(uint32_t crc, const void *buf, size_t len)
{
	return ~(uint32_t)crc32_z(~crc & 0xffffffffu, buf, len);
}

uint32_t ovbd_bow_checksum(uint32_t crc, const void *buf, size_t len)
{
	const size_t nlines = len / BOW_CHECKSUM_LINE, folded_size = nlines * BOW_CHECKSUM_LINE;
	const uint8_t *p = buf;
	uint8_t folded[16];

	if (nlines < 2 || !ovbd_bow_checksum_fold(crc, p, nlines, folded))
		return plain(crc, buf, len);
	return plain(plain(0, folded, sizeof(folded)), p + folded_size, len - folded_size);
}
