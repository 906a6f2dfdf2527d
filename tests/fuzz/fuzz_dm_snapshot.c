// SPDX-License-Identifier: Apache-2.0
/* Opens a store of dm-snapshot, over a small origin and over none, and reads what opens. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/dm_snapshot.h"

#define READ_MAX (1u << 20)

static void try(const uint8_t *data, size_t size, bool with_origin)
{
	static const uint8_t old[100000];
	static uint8_t whole[READ_MAX], steps[READ_MAX];
	AUTO_BLOB *view = NULL;
	struct ovbd_blob *b, *origin = NULL;
	struct ovbd_dm_snapshot *s;
	size_t len;
	int r, r2 = 0;

	if (ovbd_blob_open_mem(data, size, &b, NULL) < 0)
		return;
	if (ovbd_dm_snapshot_probe(b, NULL) < 0)
		abort();
	if (ovbd_dm_snapshot_open(b, &s, NULL) < 0)
		return;
	if (ovbd_dm_snapshot_info(s)->nchunks > size / 512)
		abort();
	if (with_origin && ovbd_blob_open_mem(old, sizeof(old), &origin, NULL) < 0) {
		ovbd_dm_snapshot_close(s);
		return;
	}
	if (ovbd_dm_snapshot_view_open(s, origin, &view, NULL) < 0)
		return;
	len = (size_t)ovbd_min(view->size, READ_MAX);
	r = ovbd_blob_pread(view, whole, len, 0, NULL);
	for (size_t off = 0; r2 == 0 && off < len; off += 2999)
		r2 = ovbd_blob_pread(view, steps + off, (size_t)ovbd_min(2999, len - off), off,
		                     NULL);
	if (len > 0 && (r != r2 || (r == 0 && memcmp(whole, steps, len) != 0)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size, false);
	try(data, size, true);
	return 0;
}
