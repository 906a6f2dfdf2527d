// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long countdown;
static atomic_bool hit;

void test_fault_set(long n)
{
	hit = false;
	countdown = n;
}

bool test_fault_hit(void)
{
	countdown = 0;
	return hit;
}

bool test_fault_now(void)
{
	if (atomic_load(&countdown) <= 0 || atomic_fetch_sub(&countdown, 1) != 1)
		return false;
	hit = true;
	return true;
}

struct faulty_blob {
	struct ovbd_blob blob;
	struct ovbd_blob *inner;
};

static int blob_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct faulty_blob *f = OVBD_CONTAINER_OF(b, struct faulty_blob, blob);

	if (test_fault_now())
		return ovbd_fail(err, -EIO, "told to fail");
	return ovbd_blob_pread(f->inner, buf, len, off, err);
}

static void blob_close(struct ovbd_blob *b)
{
	struct faulty_blob *f = OVBD_CONTAINER_OF(b, struct faulty_blob, blob);

	ovbd_blob_close(f->inner);
	free(f);
}

struct ovbd_blob *test_blob_faulty(struct ovbd_blob *take_b)
{
	static const struct ovbd_blob_ops ops = {
		.name = "faulty blob",
		.pread = blob_pread,
		.close = blob_close,
	};
	struct faulty_blob *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->blob = (struct ovbd_blob){.ops = &ops, .size = take_b->size};
	f->inner = take_b;
	return &f->blob;
}

struct faulty_sink {
	struct ovbd_sink sink;
	struct ovbd_sink *inner;
};

static struct ovbd_sink *inner_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct faulty_sink, sink)->inner;
}

static int sink_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	if (test_fault_now())
		return ovbd_fail(err, -ENOSPC, "told to fail");
	return ovbd_sink_append(inner_of(s), buf, len, err);
}

static int sink_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	if (test_fault_now())
		return ovbd_fail(err, -ENOSPC, "told to fail");
	return ovbd_sink_patch(inner_of(s), buf, len, off, err);
}

static int sink_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	if (test_fault_now())
		return ovbd_fail(err, -ENOSPC, "told to fail");
	return ovbd_sink_finish(inner_of(s), err);
}

static void sink_close(struct ovbd_sink *s)
{
	ovbd_sink_close(inner_of(s));
	free(OVBD_CONTAINER_OF(s, struct faulty_sink, sink));
}

struct ovbd_sink *test_sink_faulty(struct ovbd_sink *take_s)
{
	static const struct ovbd_sink_ops ops = {
		.name = "faulty sink",
		.append = sink_append,
		.patch = sink_patch,
		.finish = sink_finish,
		.close = sink_close,
	};
	struct faulty_sink *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->sink.ops = &ops;
	f->inner = take_s;
	return &f->sink;
}
