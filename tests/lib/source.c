// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/source.h"

#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"

/* What tests of caches spend most of their time with: by words of 8 bytes. */
static uint64_t word_at(const struct test_source *s, uint64_t off)
{
	uint64_t z = (off / 8 + s->seed) * 0x9e3779b97f4a7c15u;

	return z ^ z >> 29;
}

static uint8_t byte_at(const struct test_source *s, uint64_t off)
{
	return (uint8_t)(word_at(s, off) >> off % 8 * 8);
}

void test_source_bytes(const struct test_source *s, void *buf, size_t len, uint64_t off)
{
	uint8_t *p = buf;
	size_t i = 0;

	while (i < len)
		if ((off + i) % 8 == 0 && len - i >= 8) {
			ovbd_put_le64(p + i, word_at(s, off + i));
			i += 8;
		} else {
			p[i] = byte_at(s, off + i);
			i++;
		}
}

bool test_source_is(const struct test_source *s, const void *buf, size_t len, uint64_t off)
{
	const uint8_t *p = buf;
	size_t i = 0;

	while (i < len)
		if ((off + i) % 8 == 0 && len - i >= 8) {
			if (ovbd_get_le64(p + i) != word_at(s, off + i))
				return false;
			i += 8;
		} else {
			if (p[i] != byte_at(s, off + i))
				return false;
			i++;
		}
	return true;
}

static int source_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	struct test_source *s = OVBD_CONTAINER_OF(b, struct test_source, blob);

	if (s->delay_us)
		usleep(s->delay_us);
	atomic_fetch_add(&s->nwaiting, 1);
	while (atomic_load(&s->hold))
		usleep(1000);
	atomic_fetch_sub(&s->nwaiting, 1);
	if (atomic_load(&s->fail) > 0 && atomic_fetch_sub(&s->fail, 1) > 0)
		return ovbd_fail(err, -EIO, "the source failed");
	test_source_bytes(s, buf, len, off);
	if (atomic_load(&s->lie) > 0 && atomic_fetch_sub(&s->lie, 1) > 0)
		*(uint8_t *)buf ^= 1;
	atomic_fetch_add(&s->nreads, 1);
	atomic_fetch_add(&s->nbytes, len);
	return 0;
}

static void source_close(struct ovbd_blob *b)
{
	(void)b;
}

static const struct ovbd_blob_ops source_ops = {
	.name = "test source",
	.pread = source_pread,
	.close = source_close,
};

void test_source_init(struct test_source *s, uint64_t size, uint64_t seed)
{
	*s = (struct test_source){.blob = {.ops = &source_ops, .size = size}, .seed = seed};
}
