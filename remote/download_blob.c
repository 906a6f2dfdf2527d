// SPDX-License-Identifier: Apache-2.0
/* What is read lazily until its file is complete, and then from that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "remote/download_impl.h"
#include "remote/lazy.h"

#define DEADLINE_MS 5000u /* of a read of the source */
#define BLOCK_MAX   (4u << 20)

static struct fetched *fetched_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct fetched, blob);
}

static int fetched_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	struct fetched *x = fetched_of(b);
	int r;

	if (atomic_load(&x->local))
		return ovbd_blob_pread(x->swap, buf, len, off, err);
	atomic_fetch_add(&x->d->reading, 1);
	r = ovbd_blob_pread(x->swap, buf, len, off, err);
	atomic_store(&x->d->last_read_ms, download_now_ms());
	atomic_fetch_sub(&x->d->reading, 1);
	return r;
}

static char *fetched_key(struct ovbd_blob *b)
{
	struct ovbd_error err;
	char *key = NULL;

	if (ovbd_blob_key(fetched_of(b)->swap, &key, &err) < 0)
		return NULL;
	return key ? key : strdup("");
}

static bool fetched_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	return ovbd_blob_distrust(fetched_of(b)->swap, off, len);
}

/* Out of the list, once the thread has let go of it. */
static void leave(struct fetched *x)
{
	struct ovbd_downloads *d = x->d;
	struct fetched **at = &d->list;

	pthread_mutex_lock(&d->lock);
	x->cancel = true;
	atomic_store(&x->stop, true);
	pthread_cond_broadcast(&d->changed);
	while (x->running)
		pthread_cond_wait(&d->changed, &d->lock);
	while (*at && *at != x)
		at = &(*at)->next;
	if (*at)
		*at = x->next;
	pthread_mutex_unlock(&d->lock);
}

static void fetched_close(struct ovbd_blob *b)
{
	struct fetched *x = fetched_of(b);

	leave(x);
	ovbd_blob_close(x->swap);
	ovbd_blob_close(x->source);
	ovbd_blob_close(x->below);
	free(x->digest);
	free(x->dir);
	free(x->shown);
	free(x);
}

static const struct ovbd_blob_ops fetched_ops = {
	.name = "downloaded blob",
	.pread = fetched_pread,
	.key = fetched_key,
	.distrust = fetched_distrust,
	.close = fetched_close,
};

static int open_source(struct fetched *x, const struct ovbd_download *what, struct ovbd_error *err)
{
	struct ovbd_http_params p = {0};

	if (what->http)
		p = *what->http;
	p.deadline_ms = DEADLINE_MS;
	p.connect_timeout_ms = DEADLINE_MS;
	p.open_attempts = 1;
	return ovbd_lazy_open(what->url, x->blob.size, &p, &x->source, err);
}

/* Puts it into the list, to be begun after its delay. */
static void enter(struct fetched *x)
{
	const struct ovbd_download_params *p = &x->params;
	struct ovbd_downloads *d = x->d;
	uint64_t random = 0;

	if (p->delay_extra_s > 0 && getrandom(&random, sizeof(random), 0) == sizeof(random))
		random %= p->delay_extra_s * 1000 + 1;
	pthread_mutex_lock(&d->lock);
	x->due_ms = download_now_ms() + p->delay_s * 1000 + random;
	x->next = d->list;
	d->list = x;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static void settle_params(struct ovbd_download_params *p)
{
	if (p->block_size == 0 || p->block_size > BLOCK_MAX)
		p->block_size = p->block_size ? BLOCK_MAX : ovbd_download_defaults().block_size;
	if (p->block_size < 4096)
		p->block_size = 4096;
	if (p->tries == 0)
		p->tries = 1;
	/* more than a year is for ever, and does not overflow */
	p->delay_s = ovbd_min(p->delay_s, 365u * 86400u);
	p->delay_extra_s = ovbd_min(p->delay_extra_s, 365u * 86400u);
}

int ovbd_download_blob_open(struct ovbd_downloads *d, const struct ovbd_download *what,
                            struct ovbd_blob *take_b, struct ovbd_blob **ret,
                            struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	AUTO_BLOB *opened = NULL;
	struct fetched *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	opened = &x->blob;
	x->blob = (struct ovbd_blob){.ops = &fetched_ops, .size = b->size};
	x->d = d;
	x->below = OVBD_MOVE(b);
	x->params = what->params;
	x->keep = what->keep;
	settle_params(&x->params);
	x->digest = strdup(what->digest);
	x->dir = strdup(what->dir);
	x->shown = strdup(what->shown);
	if (!x->digest || !x->dir || !x->shown)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_blob_open_lent(x->below, &x->swap, err);
	if (r == 0)
		r = ovbd_blob_open_swap(OVBD_MOVE(x->swap), &x->swap, err);
	if (r == 0)
		r = open_source(x, what, err);
	if (r < 0)
		return r;
	enter(x);
	*ret = OVBD_MOVE(opened);
	return 0;
}
