// SPDX-License-Identifier: Apache-2.0
/*
 * The two files of a writable layer, of any bytes: two for how long the data file is, then both.
 * What opens can be read, written to, flushed, and opened again.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/mem_device.h"

#define FILE_SIZE (512u << 10)
#define READ_MAX  (1u << 20)

static uint8_t bytes[2][FILE_SIZE], buf[READ_MAX];
static struct test_mem data, index_file;

static struct ovbd_device *open_pair(uint64_t data_end, uint64_t index_end)
{
	struct ovbd_rw_pair files = {.no_thread = true};
	struct ovbd_device *d;

	data = (struct test_mem){.bytes = bytes[0], .size = FILE_SIZE};
	index_file = (struct test_mem){.bytes = bytes[1], .size = FILE_SIZE};
	files.data = (struct ovbd_rw_file){test_mem_device(&data), data_end};
	files.index = (struct ovbd_rw_file){test_mem_device(&index_file), index_end};
	return ovbd_rw_open_pair(&files, NULL, &d, NULL) < 0 ? NULL : d;
}

static void use(struct ovbd_device *d)
{
	const size_t n = (size_t)ovbd_min(d->blob->size, READ_MAX);

	if (n > 0 && ovbd_blob_pread(d->blob, buf, n, 0, NULL) < 0)
		abort();
	if (n < 512)
		return;
	memset(buf, 0x5a, 512);
	if (ovbd_device_pwrite(d, buf, 512, 0, 0, NULL) == 0 && ovbd_device_flush(d, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	struct ovbd_device *d;
	size_t n;

	if (size < 2 || size > FILE_SIZE / 2)
		return 0;
	n = (size_t)ovbd_min(ovbd_get_le16(in), size - 2);
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes[0], in + 2, n);
	memcpy(bytes[1], in + 2 + n, size - 2 - n);
	d = open_pair(n, size - 2 - n);
	if (!d)
		return 0;
	use(d);
	ovbd_device_close(d);
	d = open_pair(FILE_SIZE, FILE_SIZE);
	if (!d)
		abort();
	use(d);
	ovbd_device_close(d);
	return 0;
}
