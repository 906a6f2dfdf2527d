// SPDX-License-Identifier: Apache-2.0
/*
 * A blob that lies elsewhere, read from its beginning to its end: a thread fetches the next pieces
 * while those before are used, so that neither the network waits for who unpacks them nor the other
 * way round. The pieces are slots of a ring, each filled by the thread and then emptied by the
 * reader. One that is cut is fetched again by the blob; nothing before it is.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/bytes.h"
#include "base/thread.h"
#include "oci/registry.h"
#include "remote/patience.h"

#define PIECE (2u << 20)
#define NSLOT 4u /* of which one is being read */

struct ahead {
	struct oci_reader reader;
	struct ovbd_blob *blob;
	const atomic_bool *stop;
	uint64_t at; /* of the reader */
	pthread_t thread;
	bool started;
	atomic_bool over; /* the thread is to end */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by the lock */
	uint64_t filled; /* bytes, all pieces whole but the last */
	uint64_t taken;  /* pieces that the reader is done with */
	int code;        /* of the thread's failure, and its sentence; 0 */
	struct ovbd_error why;
	uint8_t ring[NSLOT][PIECE];
};

static void *run(void *arg)
{
	struct ahead *a = arg;
	const uint64_t size = a->blob->size;
	int r = 0;

	ovbd_patience_set((struct ovbd_patience){.stop = &a->over});
	for (uint64_t off = 0; r == 0 && off < size; off += PIECE) {
		const size_t len = (size_t)ovbd_min(PIECE, size - off);
		struct ovbd_error why = {""};

		pthread_mutex_lock(&a->lock);
		while (off / PIECE >= a->taken + NSLOT && !atomic_load(&a->over))
			pthread_cond_wait(&a->changed, &a->lock);
		pthread_mutex_unlock(&a->lock);
		if (atomic_load(&a->over))
			break;
		r = ovbd_blob_pread(a->blob, a->ring[off / PIECE % NSLOT], len, off, &why);
		pthread_mutex_lock(&a->lock);
		if (r == 0) {
			a->filled = off + len;
		} else {
			a->code = r;
			a->why = why;
		}
		pthread_cond_broadcast(&a->changed);
		pthread_mutex_unlock(&a->lock);
	}
	return NULL;
}

/* Until something of the piece that the reader is at is there; it looks now and then whether
 * anybody still wants it. */
static int wait_for(struct ahead *a, uint64_t *ret_filled, struct ovbd_error *err)
{
	int r = 0;

	pthread_mutex_lock(&a->lock);
	while (r == 0 && a->filled <= a->at && a->code == 0) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&a->changed, &a->lock, &until);
		if (a->stop && atomic_load(a->stop))
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	if (r == 0 && a->filled <= a->at)
		r = ovbd_fail(err, a->code, "%s", a->why.msg);
	*ret_filled = a->filled;
	pthread_mutex_unlock(&a->lock);
	return r;
}

static ssize_t ahead_read(struct oci_reader *r, void *buf, size_t len, struct ovbd_error *err)
{
	struct ahead *a = OVBD_CONTAINER_OF(r, struct ahead, reader);
	const uint64_t in = a->at % PIECE;
	uint64_t filled;
	size_t n;
	int code;

	if (len == 0 || a->at >= a->blob->size)
		return 0;
	code = wait_for(a, &filled, err);
	if (code < 0)
		return code;
	n = (size_t)ovbd_min(ovbd_min(len, PIECE - in), filled - a->at);
	memcpy(buf, a->ring[a->at / PIECE % NSLOT] + in, n);
	a->at += n;
	if (a->at % PIECE == 0) {
		pthread_mutex_lock(&a->lock);
		a->taken = a->at / PIECE;
		pthread_cond_broadcast(&a->changed);
		pthread_mutex_unlock(&a->lock);
	}
	return (ssize_t)n;
}

static void ahead_close(struct oci_reader *take_r)
{
	struct ahead *a = OVBD_CONTAINER_OF(take_r, struct ahead, reader);

	pthread_mutex_lock(&a->lock);
	atomic_store(&a->over, true);
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (a->started)
		pthread_join(a->thread, NULL);
	ovbd_blob_close(a->blob);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static const struct oci_reader_ops ahead_ops = {.read = ahead_read, .close = ahead_close};

int oci_reader_ahead(struct ovbd_blob *take_b, const atomic_bool *stop, struct oci_reader **ret,
                     struct ovbd_error *err)
{
	struct ahead *a = malloc(sizeof(*a));
	int r;

	if (!a) {
		ovbd_blob_close(take_b);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	a->reader.ops = &ahead_ops;
	a->blob = take_b;
	a->stop = stop;
	a->at = a->filled = a->taken = 0;
	a->started = false;
	a->code = 0;
	atomic_init(&a->over, false);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	r = ovbd_thread_start(&a->thread, run, a);
	if (r < 0) {
		ahead_close(&a->reader);
		return ovbd_fail_errno(err, r, "a thread that reads");
	}
	a->started = true;
	*ret = &a->reader;
	return 0;
}
