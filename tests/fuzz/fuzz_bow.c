// SPDX-License-Identifier: Apache-2.0
/*
 * A device in its checkpoint, of any bytes. What is refused is not written to; what is restored is
 * what the simplest way to do it leads to, at once or in steps; and what is told adds up.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "bow/log.h"
#include "bow/restore.h"
#include "tests/lib/mem_device.h"

#define DEVICE_MAX (256u << 10)

static uint8_t bytes[DEVICE_MAX], want[DEVICE_MAX];

static void must(bool right)
{
	if (!right)
		abort();
}

/* Of what has been found right: entries as they lie there, copied one by one. */
static void undo(uint8_t *disk)
{
	for (;;) {
		const bool proto = ovbd_get_le16(disk + 6) == 0;
		const size_t head = !proto                     ? ovbd_get_le16(disk + 6)
		                    : ovbd_get_le64(disk + 12) ? 20
		                                               : 12;
		const uint32_t block = proto ? 4096 : ovbd_get_le32(disk + 8);
		const uint32_t count = ovbd_get_le32(disk + (proto ? 4 : 12));
		const uint32_t sequence = ovbd_get_le32(disk + (proto ? 8 : 16));
		uint8_t log[4096];

		memcpy(log, disk, block);
		for (uint32_t i = count; i > 0; i--) {
			const uint8_t *e = log + head + (i - 1) * 24;

			memmove(disk + ovbd_get_le64(e) * 512, disk + ovbd_get_le64(e + 8) * 512,
			        ovbd_get_le32(e + 16));
		}
		if (sequence == 0)
			return;
	}
}

static void read_log(struct ovbd_blob *b, int inspected, const struct ovbd_bow_info *info)
{
	struct bow_log *l;
	const int r = ovbd_bow_log_read(b, &l, NULL);

	must(r == inspected);
	if (r < 0)
		return;
	must(l->nentries == info->nentries && l->header.sector0 == info->sector0);
	ovbd_bow_log_free(l);
}

static int restore(struct ovbd_device *d, uint64_t limit)
{
	const struct ovbd_bow_restore_params p = {.limit = limit};
	struct ovbd_bow_info info;

	return ovbd_bow_restore(d, &p, &info, NULL);
}

static void try(const uint8_t *in, size_t size, const struct ovbd_bow_info *info)
{
	struct test_mem m = {.bytes = bytes, .size = size, .room = UINT64_MAX};
	struct ovbd_device *d = test_mem_device(&m);
	struct ovbd_bow_info settled;
	int r = restore(d, 0);

	if (r < 0) {
		must(memcmp(bytes, in, size) == 0);
	} else if (!info->committing) {
		must(memcmp(bytes, want, size) == 0);
		memcpy(bytes, in, size);
		for (uint64_t n = 0; (r = restore(d, 1 + size % 5)) == -EAGAIN; n++)
			must(n < info->nentries);
		must(r == 0 && memcmp(bytes, want, size) == 0);
	}
	memcpy(bytes, in, size);
	r = ovbd_bow_settle(d, &settled, NULL);
	must((r == -EUCLEAN) == info->partial || r == -ENOTSUP);
	must(r == 0 || memcmp(bytes, in, size) == 0);
	ovbd_device_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t size)
{
	struct ovbd_bow_info info;
	struct ovbd_blob *b;
	int r;

	if (size > DEVICE_MAX)
		return 0;
	must(ovbd_blob_open_mem(in, size, &b, NULL) == 0);
	r = ovbd_bow_inspect(b, &info, NULL);
	read_log(b, r, &info);
	if (r == 0 && ovbd_bow_check(b, NULL, NULL, &info, NULL) == 0 && !info.committing) {
		memcpy(want, in, size);
		undo(want);
	}
	ovbd_blob_close(b);
	if (r < 0)
		return 0;
	memcpy(bytes, in, size);
	try(in, size, &info);
	return 0;
}
