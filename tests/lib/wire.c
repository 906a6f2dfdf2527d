// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/wire.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Whether one more of n is due; n < 0: always. */
static bool due(atomic_int *n)
{
	return atomic_load(n) < 0 || (atomic_load(n) > 0 && atomic_fetch_sub(n, 1) > 0);
}

static int wire_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct test_wire *w = OVBD_CONTAINER_OF(b, struct test_wire, blob);

	if (w->delay_us)
		usleep(w->delay_us);
	if (due(&w->fail))
		return ovbd_fail(err, -EIO, "the wire failed");
	memcpy(buf, w->bytes + off, len);
	if (w->at >= off && w->at - off < len && due(&w->times))
		((uint8_t *)buf)[w->at - off] ^= w->flip;
	atomic_fetch_add(&w->nreads, 1);
	atomic_fetch_add(&w->nbytes, len);
	return 0;
}

static void wire_close(struct ovbd_blob *b)
{
	(void)b;
}

static const struct ovbd_blob_ops wire_ops = {
	.name = "test wire",
	.pread = wire_pread,
	.close = wire_close,
};

void test_wire_init(struct test_wire *w, const uint8_t *bytes, uint64_t size)
{
	memset(w, 0, sizeof(*w));
	w->blob = (struct ovbd_blob){.ops = &wire_ops, .size = size};
	w->bytes = bytes;
}
