// SPDX-License-Identifier: Apache-2.0
/* Who reads holds what he reads from; so what was swapped is closed by the last of its readers. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/blob.h"

struct held {
	struct ovbd_blob *blob;
	unsigned refs; /* guarded by swap_blob.lock: the swap blob, and readers */
};

struct swap_blob {
	struct ovbd_blob blob;
	pthread_mutex_t lock;
	struct held *now; /* guarded by lock */
};

static const struct ovbd_blob_ops swap_ops;

static struct swap_blob *swap_of(struct ovbd_blob *b)
{
	assert(b->ops == &swap_ops);
	return OVBD_CONTAINER_OF(b, struct swap_blob, blob);
}

static struct held *hold(struct swap_blob *s)
{
	struct held *h;

	pthread_mutex_lock(&s->lock);
	h = s->now;
	h->refs++;
	pthread_mutex_unlock(&s->lock);
	return h;
}

static void let_go(struct swap_blob *s, struct held *h)
{
	bool last;

	pthread_mutex_lock(&s->lock);
	last = --h->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (last) {
		ovbd_blob_close(h->blob);
		free(h);
	}
}

static int swap_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct swap_blob *s = swap_of(b);
	struct held *h = hold(s);
	const int r = ovbd_blob_pread(h->blob, buf, len, off, err);

	let_go(s, h);
	return r;
}

static char *swap_key(struct ovbd_blob *b)
{
	struct swap_blob *s = swap_of(b);
	struct held *h = hold(s);
	struct ovbd_error err;
	char *key = NULL;

	if (ovbd_blob_key(h->blob, &key, &err) == 0 && !key)
		key = strdup("");
	let_go(s, h);
	return key;
}

static bool swap_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	struct swap_blob *s = swap_of(b);
	struct held *h = hold(s);
	const bool other = ovbd_blob_distrust(h->blob, off, len);

	let_go(s, h);
	return other;
}

static void swap_close(struct ovbd_blob *b)
{
	struct swap_blob *s = swap_of(b);

	if (s->now)
		let_go(s, s->now);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct ovbd_blob_ops swap_ops = {
	.name = "swap blob",
	.pread = swap_pread,
	.key = swap_key,
	.distrust = swap_distrust,
	.close = swap_close,
};

static struct held *held_create(struct ovbd_blob *take_b)
{
	AUTO_BLOB *b = take_b;
	struct held *h = malloc(sizeof(*h));

	if (h)
		*h = (struct held){.blob = OVBD_MOVE(b), .refs = 1};
	return h;
}

int ovbd_blob_open_swap(struct ovbd_blob *take_b, struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	struct swap_blob *s = calloc(1, sizeof(*s));

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->blob = (struct ovbd_blob){.ops = &swap_ops, .size = b->size};
	pthread_mutex_init(&s->lock, NULL);
	s->now = held_create(OVBD_MOVE(b));
	if (!s->now) {
		ovbd_blob_close(&s->blob);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	*ret = &s->blob;
	return 0;
}

int ovbd_blob_swap(struct ovbd_blob *b, struct ovbd_blob *take_to, struct ovbd_error *err)
{
	struct swap_blob *s = swap_of(b);
	struct held *old, *h;

	assert(take_to->size == b->size);
	h = held_create(take_to);
	if (!h)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_lock(&s->lock);
	old = s->now;
	s->now = h;
	pthread_mutex_unlock(&s->lock);
	let_go(s, old);
	return 0;
}
