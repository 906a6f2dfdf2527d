// SPDX-License-Identifier: Apache-2.0
/* A blob per layer, and one list of records for all, with one short lock. */
#include "image/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "image/seen.h"

struct ovbd_recorder {
	pthread_mutex_t lock; /* guards what follows */
	struct ovbd_trace trace;
	struct seen seen;
	bool stopped;
	bool full;
};

struct recorded_blob {
	struct ovbd_blob blob;
	struct ovbd_blob *inner; /* owned */
	struct ovbd_recorder *recorder;
	uint32_t layer;
};

static _Thread_local bool ignored;

void ovbd_recorder_ignore_thread(void)
{
	ignored = true;
}

static void note(struct ovbd_recorder *r, const struct ovbd_trace_record *record)
{
	if (ignored)
		return;
	pthread_mutex_lock(&r->lock);
	if (!r->stopped && !r->full)
		r->full = ovbd_trace_add_new(&r->trace, &r->seen, record, NULL) < 0;
	pthread_mutex_unlock(&r->lock);
}

static int recorded_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                          struct ovbd_error *err)
{
	struct recorded_blob *rb = OVBD_CONTAINER_OF(b, struct recorded_blob, blob);
	const struct ovbd_trace_record record = {.layer = rb->layer, .off = off, .len = len};

	note(rb->recorder, &record);
	return ovbd_blob_pread(rb->inner, buf, len, off, err);
}

static int recorded_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                           struct ovbd_error *err)
{
	struct recorded_blob *rb = OVBD_CONTAINER_OF(b, struct recorded_blob, blob);

	return ovbd_blob_run_at(rb->inner, off, len, ret, err);
}

static bool recorded_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	struct recorded_blob *rb = OVBD_CONTAINER_OF(b, struct recorded_blob, blob);

	return ovbd_blob_distrust(rb->inner, off, len);
}

static void recorded_close(struct ovbd_blob *b)
{
	struct recorded_blob *rb = OVBD_CONTAINER_OF(b, struct recorded_blob, blob);

	ovbd_blob_close(rb->inner);
	free(rb);
}

static const struct ovbd_blob_ops recorded_ops = {
	.name = "recorded blob",
	.pread = recorded_pread,
	.run_at = recorded_run_at,
	.distrust = recorded_distrust,
	.close = recorded_close,
};

int ovbd_recorder_create(struct ovbd_recorder **ret, struct ovbd_error *err)
{
	struct ovbd_recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

int ovbd_recorder_wrap(struct ovbd_recorder *r, uint32_t layer, struct ovbd_blob *take_b,
                       struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *inner = take_b;
	struct recorded_blob *rb = calloc(1, sizeof(*rb));

	if (!rb)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	rb->blob = (struct ovbd_blob){.ops = &recorded_ops, .size = inner->size};
	rb->recorder = r;
	rb->layer = layer;
	rb->inner = OVBD_MOVE(inner);
	*ret = &rb->blob;
	return 0;
}

int ovbd_recorder_copy(struct ovbd_recorder *r, struct ovbd_trace *t, bool *ret_whole,
                       struct ovbd_error *err)
{
	int result = 0;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; result == 0 && i < r->trace.n; i++)
		result = ovbd_trace_add(t, &r->trace.records[i], err);
	*ret_whole = !r->full;
	pthread_mutex_unlock(&r->lock);
	return result;
}

void ovbd_recorder_stop(struct ovbd_recorder *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	pthread_mutex_unlock(&r->lock);
}

void ovbd_recorder_close(struct ovbd_recorder *take_r)
{
	if (!take_r)
		return;
	pthread_mutex_destroy(&take_r->lock);
	ovbd_trace_free(&take_r->trace);
	ovbd_seen_free(&take_r->seen);
	free(take_r);
}
