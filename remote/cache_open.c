// SPDX-License-Identifier: Apache-2.0
/* A cache from its parameters to its end, and what it tells of itself. */
#include <errno.h>
#include <unistd.h>

#include "base/thread.h"
#include "remote/cache_admin.h"
#include "remote/cache_impl.h"

static void copy_params(struct ovbd_cache *c, const struct ovbd_cache_params *p)
{
	static const struct ovbd_cache_params none;

	if (!p)
		p = &none;
	c->params = *p;
	c->params.high_percent = p->high_percent ? p->high_percent : 90;
	c->params.low_percent = p->low_percent ? p->low_percent : c->params.high_percent * 8 / 9;
	c->params.size_max = p->size_max ? p->size_max : UINT64_C(4) << 30;
	c->params.chunk_size = p->chunk_size ? p->chunk_size : 256u << 10;
	c->params.memory_max = p->memory_max ? p->memory_max : 64u << 20;
}

static int check_params(const struct ovbd_cache_params *p, struct ovbd_error *err)
{
	if (p->chunk_size < OVBD_CACHE_CHUNK_MIN || p->chunk_size > OVBD_CACHE_CHUNK_MAX ||
	    (p->chunk_size & (p->chunk_size - 1)) != 0)
		return ovbd_fail(err, -EINVAL, "cache chunks of %u bytes", p->chunk_size);
	if (p->high_percent > 100 || p->low_percent >= p->high_percent)
		return ovbd_fail(err, -EINVAL, "cache marks of %u and %u percent", p->low_percent,
		                 p->high_percent);
	if (p->size_max / 16 < p->chunk_size)
		return ovbd_fail(err, -EINVAL, "a cache of %llu bytes: at least 16 chunks of %u",
		                 (unsigned long long)p->size_max, p->chunk_size);
	return 0;
}

static void cache_free(struct ovbd_cache *c)
{
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->room);
	pthread_cond_destroy(&c->checks);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->open_lock);
	pthread_mutex_destroy(&c->count_lock);
	free(c->path);
	free(c);
}

static void init_locks(struct ovbd_cache *c)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->open_lock, NULL);
	pthread_mutex_init(&c->count_lock, NULL);
	pthread_cond_init(&c->work, &monotonic);
	pthread_cond_init(&c->room, &monotonic);
	pthread_cond_init(&c->checks, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void stop(struct ovbd_cache *c)
{
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->work);
	pthread_cond_broadcast(&c->checks);
	pthread_mutex_unlock(&c->lock);
}

static int start_threads(struct ovbd_cache *c, struct ovbd_error *err)
{
	if (ovbd_thread_start(&c->storer, cache_store_thread, c) != 0)
		return ovbd_fail(err, -EAGAIN, "cannot start a thread");
	if (ovbd_thread_start(&c->evictor, cache_evict_thread, c) != 0) {
		stop(c);
		pthread_join(c->storer, NULL);
		return ovbd_fail(err, -EAGAIN, "cannot start a thread");
	}
	if (ovbd_thread_start(&c->checker, cache_check_thread, c) != 0) {
		stop(c);
		pthread_join(c->storer, NULL);
		pthread_join(c->evictor, NULL);
		return ovbd_fail(err, -EAGAIN, "cannot start a thread");
	}
	c->threads = true;
	return 0;
}

/* user: it is to be filled, and not only looked after. */
static int cache_open(const char *dir, const struct ovbd_cache_params *p, bool user,
                      struct ovbd_cache **ret, struct ovbd_error *err)
{
	struct ovbd_cache *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c->dir_fd = c->lock_fd = -1;
	c->queue_end = &c->queue;
	init_locks(c);
	copy_params(c, p);
	r = check_params(&c->params, err);
	if (r == 0)
		r = cache_dir_open(c, dir, user, err);
	if (r == 0 && user)
		r = start_threads(c, err);
	if (r < 0) {
		cache_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int ovbd_cache_open(const char *dir, const struct ovbd_cache_params *p, struct ovbd_cache **ret,
                    struct ovbd_error *err)
{
	return cache_open(dir, p, true, ret, err);
}

int ovbd_cache_attach(const char *dir, struct ovbd_cache **ret, struct ovbd_error *err)
{
	return cache_open(dir, NULL, false, ret, err);
}

void ovbd_cache_close(struct ovbd_cache *take_c)
{
	if (!take_c)
		return;
	if (take_c->threads) {
		stop(take_c);
		pthread_join(take_c->storer, NULL);
		pthread_join(take_c->evictor, NULL);
		pthread_join(take_c->checker, NULL);
	}
	cache_free(take_c);
}

struct ovbd_cache_stats ovbd_cache_stats(struct ovbd_cache *c)
{
	return (struct ovbd_cache_stats){
		.hit_bytes = atomic_load(&c->hit_bytes),
		.source_reads = atomic_load(&c->source_reads),
		.source_bytes = atomic_load(&c->source_bytes),
		.stored_bytes = atomic_load(&c->stored_bytes),
		.nbad = atomic_load(&c->nbad),
		.nrefetched = atomic_load(&c->nrefetched),
		.nevicted = atomic_load(&c->nevicted),
		.nunstored = atomic_load(&c->nunstored),
		.nwhole = atomic_load(&c->nwhole),
		.nwrong = atomic_load(&c->nwrong),
		.used = atomic_load(&c->used),
	};
}

bool ovbd_cache_trouble(struct ovbd_cache *c, struct ovbd_error *ret)
{
	bool trouble;

	pthread_mutex_lock(&c->lock);
	trouble = c->trouble_ms != 0;
	*ret = c->trouble;
	pthread_mutex_unlock(&c->lock);
	return trouble;
}
