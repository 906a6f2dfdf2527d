// SPDX-License-Identifier: Apache-2.0
/*
 * An ovbd-rw file of any bytes, whose checksums are made right first: what opens can be read,
 * written to, flushed, and closed.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "lsmt/rw.h"
#include "lsmt/rw_log_format.h"
#include "tests/lib/mem_device.h"

#define FILE_SIZE (512u << 10)
#define READ_MAX  (256u << 10)

static uint8_t bytes[FILE_SIZE], buf[READ_MAX];
static struct test_mem m;

static struct ovbd_device *open_rw(void)
{
	const struct ovbd_rw_open_params p = {.no_thread = true, .checkpoint_blocks = 2};
	struct ovbd_rw_file file = {NULL, FILE_SIZE};
	struct ovbd_device *d;

	m = (struct test_mem){.bytes = bytes, .size = FILE_SIZE};
	file.device = test_mem_device(&m);
	return ovbd_rw_open(&file, &p, NULL, &d, NULL) < 0 ? NULL : d;
}

static void seal(uint8_t *p, size_t len, size_t where)
{
	ovbd_put_le32(p + where, 0);
	ovbd_put_le32(p + where, ovbd_crc32c(UINT32_MAX, p, len));
}

/* Where a block's magic is, its checksum is right, unless its session says otherwise. */
static void seal_all(void)
{
	seal(bytes, RW_SUPER_SIZE, RW_OFF_CHECKSUM);
	seal(bytes + RW_SUPER_STRIDE, RW_SUPER_SIZE, RW_OFF_CHECKSUM);
	for (size_t at = RW_RECORDS_BEGIN; at + RW_BLOCK_SIZE <= FILE_SIZE; at += 512)
		if (memcmp(bytes + at, "rwbl", 4) == 0)
			seal(bytes + at, RW_BLOCK_SIZE, RW_OFF_BLOCK_CHECKSUM);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	struct ovbd_device *d;
	size_t n;

	if (size > FILE_SIZE / 2)
		return 0;
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, in, size);
	seal_all();
	d = open_rw();
	if (!d)
		return 0;
	n = (size_t)ovbd_min(d->blob->size, READ_MAX);
	if (n >= 512) {
		memset(buf, 0x5a, 512);
		(void)ovbd_device_pwrite(d, buf, 512, 0, 0, NULL);
		(void)ovbd_device_flush(d, NULL);
		if (ovbd_blob_pread(d->blob, buf, n, 0, NULL) < 0)
			abort();
	}
	ovbd_device_close(d);
	return 0;
}
