// SPDX-License-Identifier: Apache-2.0
/*
 * Only what the superblocks of file systems and the tables of partitions say of sizes; whether they
 * are right is for others to find out. Numbers are bounded before they are multiplied.
 */
#include "tools/fs_end.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

#define SECTOR   512u
#define AREA_MAX 4096u

/* blocks of 1 << shift bytes, or more than can be. */
static uint64_t product(uint64_t blocks, unsigned shift)
{
	return shift < 32 && blocks < (UINT64_C(1) << 62) >> shift ? blocks << shift
	                                                           : UINT64_C(1) << 62;
}

static bool find_ext(const uint8_t *p, struct ovbd_fs_end *ret)
{
	const bool wide = ovbd_get_le32(p + 0x60) & 0x80; /* incompat: 64bit */
	uint64_t blocks = ovbd_get_le32(p + 0x04);

	if (ovbd_get_le16(p + 0x38) != 0xef53)
		return false;
	if (wide)
		blocks |= (uint64_t)ovbd_get_le32(p + 0x150) << 32;
	*ret = (struct ovbd_fs_end){"ext4", product(blocks, 10 + ovbd_get_le32(p + 0x18) % 32)};
	return true;
}

static bool find_xfs(const uint8_t *p, struct ovbd_fs_end *ret)
{
	const uint64_t size = ovbd_get_be32(p + 4), blocks = ovbd_get_be64(p + 8);
	unsigned shift = 0;

	if (memcmp(p, "XFSB", 4) != 0)
		return false;
	while (shift < 32 && size >> shift > 1)
		shift++;
	*ret = (struct ovbd_fs_end){"xfs", product(blocks, shift)};
	return true;
}

static bool find_btrfs(const uint8_t *p, struct ovbd_fs_end *ret)
{
	if (memcmp(p + 0x40, "_BHRfS_M", 8) != 0)
		return false;
	*ret = (struct ovbd_fs_end){"btrfs", product(ovbd_get_le64(p + 0x70), 0)};
	return true;
}

/* The table of a disk with sectors of 512 bytes, which has a copy in its last one. */
static bool find_gpt(const uint8_t *p, struct ovbd_fs_end *ret)
{
	if (memcmp(p, "EFI PART", 8) != 0)
		return false;
	*ret = (struct ovbd_fs_end){"a partition table",
	                            product(ovbd_get_le64(p + 0x20), 9) + SECTOR};
	return true;
}

/* The other one; a boot sector of a file system looks alike, but for its first bytes. */
static bool find_mbr(const uint8_t *p, struct ovbd_fs_end *ret)
{
	uint64_t end = 0;

	if (p[510] != 0x55 || p[511] != 0xaa)
		return false;
	for (const uint8_t *e = p + 446; e < p + 510; e += 16) {
		const uint64_t first = ovbd_get_le32(e + 8), n = ovbd_get_le32(e + 12);

		if (e[0] & 0x7f)
			return false;
		if (e[4] != 0 && n > 0)
			end = ovbd_max(end, product(first + n, 9));
	}
	if (end > 0)
		*ret = (struct ovbd_fs_end){"a partition table", end};
	return end > 0;
}

int ovbd_fs_end_find(struct ovbd_blob *b, struct ovbd_fs_end *ret, struct ovbd_error *err)
{
	static const struct {
		uint64_t off;
		size_t len;
		bool (*find)(const uint8_t *p, struct ovbd_fs_end *ret);
	} places[] = {
		{1024, 1024, find_ext}, {0, 512, find_xfs}, {65536, 4096, find_btrfs},
		{512, 512, find_gpt},   {0, 512, find_mbr},
	};
	struct ovbd_error ours;
	int first = 0;

	*ret = (struct ovbd_fs_end){NULL, 0};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t area[AREA_MAX];
		int r;

		if (!ovbd_within(places[i].off, places[i].len, b->size))
			continue;
		r = ovbd_blob_pread(b, area, places[i].len, places[i].off, first < 0 ? &ours : err);
		if (r == 0 && places[i].find(area, ret))
			return 0;
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}
