// SPDX-License-Identifier: Apache-2.0
/*
 * A tree of open blobs by their keys. Each is a blob that counts its users: closing it is one
 * user less, and the last one takes it out of the tree and closes what is beneath.
 *
 * Two who open the same at the same time both do the work, and the second to put it takes what the
 * first has put: nobody waits for another's slow server.
 */
#include "image/shared.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct shared_blob {
	struct ovbd_blob blob;
	struct ovbd_bytes bytes; /* bytes.blob is owned, and beneath */
	struct ovbd_shared *all;
	unsigned nusers; /* guarded by all->lock */
	char key[];
};

struct ovbd_shared {
	pthread_mutex_t lock; /* guards the tree and the count */
	void *tree;           /* of the keys of all shared_blobs: tsearch() */
	size_t n;
};

static struct shared_blob *shared_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct shared_blob, blob);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Whose key it is that a node of the tree holds. */
static struct shared_blob *at_node(void *node)
{
	return OVBD_CONTAINER_OF(*(char **)node, struct shared_blob, key);
}

/* ---- the blob ---- */

static int shared_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	return ovbd_blob_pread(shared_of(b)->bytes.blob, buf, len, off, err);
}

static int shared_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                         struct ovbd_error *err)
{
	return ovbd_blob_run_at(shared_of(b)->bytes.blob, off, len, ret, err);
}

static bool shared_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	return ovbd_blob_distrust(shared_of(b)->bytes.blob, off, len);
}

static void shared_close(struct ovbd_blob *b)
{
	struct shared_blob *sb = shared_of(b);
	struct ovbd_shared *all = sb->all;
	bool last;

	pthread_mutex_lock(&all->lock);
	last = --sb->nusers == 0;
	if (last) {
		tdelete(sb->key, &all->tree, by_text);
		all->n--;
	}
	pthread_mutex_unlock(&all->lock);
	if (last) {
		ovbd_blob_close(sb->bytes.blob);
		free(sb);
	}
}

static const struct ovbd_blob_ops shared_ops = {
	.name = "shared blob",
	.pread = shared_pread,
	.run_at = shared_run_at,
	.distrust = shared_distrust,
	.close = shared_close,
};

/* What a user sees of it. */
static struct ovbd_bytes view(struct shared_blob *sb)
{
	struct ovbd_bytes v = sb->bytes;

	v.blob = &sb->blob;
	return v;
}

/* ---- the tree ---- */

static struct shared_blob *make(struct ovbd_shared *s, const char *key, const struct ovbd_bytes *b)
{
	const size_t key_size = strlen(key) + 1;
	struct shared_blob *sb = calloc(1, sizeof(*sb) + key_size);

	if (!sb)
		return NULL;
	sb->blob = (struct ovbd_blob){.ops = &shared_ops, .size = b->blob->size};
	sb->bytes = *b;
	sb->all = s;
	sb->nusers = 1;
	memcpy(sb->key, key, key_size);
	return sb;
}

bool ovbd_shared_get(struct ovbd_shared *s, const char *key, struct ovbd_bytes *ret)
{
	void *node;

	pthread_mutex_lock(&s->lock);
	node = tfind(key, &s->tree, by_text);
	if (node) {
		at_node(node)->nusers++;
		*ret = view(at_node(node));
	}
	pthread_mutex_unlock(&s->lock);
	return node;
}

int ovbd_shared_put(struct ovbd_shared *s, const char *key, struct ovbd_bytes *b,
                    struct ovbd_error *err)
{
	AUTO_BLOB *mine = b->blob;
	AUTO_FREE struct shared_blob *sb = make(s, key, b);
	void *node = NULL;

	b->blob = NULL;
	if (!sb)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_lock(&s->lock);
	node = tsearch(sb->key, &s->tree, by_text);
	if (node && at_node(node) == sb) {
		mine = NULL;
		s->n++;
		*b = view(OVBD_MOVE(sb));
	} else if (node) {
		at_node(node)->nusers++;
		*b = view(at_node(node));
	}
	pthread_mutex_unlock(&s->lock);
	return node ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

int ovbd_shared_create(struct ovbd_shared **ret, struct ovbd_error *err)
{
	struct ovbd_shared *s = calloc(1, sizeof(*s));

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void ovbd_shared_close(struct ovbd_shared *take_s)
{
	if (!take_s)
		return;
	assert(take_s->n == 0);
	pthread_mutex_destroy(&take_s->lock);
	free(take_s);
}

size_t ovbd_shared_count(struct ovbd_shared *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}
