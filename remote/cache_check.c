// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that looks at blobs that have become whole, each once: cache_whole.c. Of several
 * processes one does it, which holds the byte of the map before that of those who use it. It takes
 * half of a processor at most, and ends early when nobody has the blob open any more.
 *
 * It has descriptors of its own, so that its locks are not those of who fills the same file.
 *
 * What is wrong is dropped, and so is fetched again by who reads it. If it is whole once more, and
 * no better, it is dropped once more, and then left: a source that is always wrong is not fetched
 * for ever.
 */
#include <errno.h>
#include <time.h>

#include "remote/cache_impl.h"
#include "remote/cache_key.h"

#define LOOK_AT   (CACHE_LOCK_AT - 2) /* the lock of who looks */
#define BUSY_MS   1000u               /* another process is at it */
#define WRONG_MAX 2u
#define REST_SIZE (4u << 20) /* after so much it rests */

/* Under c->lock, as all that takes a name. */
static struct cache_file *find(const struct ovbd_cache *c, const char *name)
{
	struct cache_file *f = c->files;

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

void cache_check_want(struct cache_file *f)
{
	char digest[OVBD_CACHE_SHA256_SIZE];
	struct ovbd_cache *c = f->cache;

	if (f->map_fd < 0 || !ovbd_cache_key_sha256(f->header.key, digest))
		return;
	pthread_mutex_lock(&c->lock);
	if (f->nwrong < WRONG_MAX) {
		f->wanted = true;
		f->due_ms = 0;
		pthread_cond_signal(&c->checks);
	}
	pthread_mutex_unlock(&c->lock);
}

void cache_check_stored(struct cache_file *f)
{
	while (f->nstored < f->nchunks && cache_entry_load(f, f->nstored).present)
		f->nstored++;
	if (f->nstored < f->nchunks)
		return;
	f->nstored = 0; /* something may be evicted, and come back */
	cache_check_want(f);
}

struct look {
	struct ovbd_cache *c;
	char name[CACHE_NAME_SIZE];
	uint64_t begin_ns, len; /* since it has rested */
};

static void wait_until(struct ovbd_cache *c, uint64_t then_ns)
{
	const struct timespec t = {.tv_sec = (time_t)(then_ns / 1000000000),
	                           .tv_nsec = (long)(then_ns % 1000000000)};

	pthread_cond_timedwait(&c->checks, &c->lock, &t);
}

/* Before each chunk: whether it is still of use. */
static bool go_on(void *arg, size_t len)
{
	struct look *l = arg;
	struct ovbd_cache *c = l->c;
	bool on;

	pthread_mutex_lock(&c->lock);
	if (l->len >= REST_SIZE) {
		const uint64_t now = ovbd_remote_now_ns(), end = now + (now - l->begin_ns);

		while (!c->stop && ovbd_remote_now_ns() < end)
			wait_until(c, end);
		l->begin_ns = end;
		l->len = 0;
	}
	on = !c->stop && find(c, l->name);
	pthread_mutex_unlock(&c->lock);
	l->len += len;
	return on;
}

static void tell_wrong(const struct cache_file *f, const char *is)
{
	const struct ovbd_cache_params *p = &f->cache->params;
	char url[OVBD_HTTP_SHOWN_SIZE], digest[OVBD_CACHE_DIGEST_SIZE];
	struct ovbd_error say;

	if (!p->told_wrong)
		return;
	ovbd_cache_key_show(f->header.key, url, digest);
	ovbd_fail(&say, 0,
	          "%s: all of it is in the cache, and its digest is %s, not %s: it is dropped, and "
	          "fetched anew as it is read",
	          url, is, digest);
	p->told_wrong(p->arg, say.msg);
}

/* f is from cache_file_peek(), and has no mark. */
static enum cache_whole look(struct cache_file *f, bool tell)
{
	struct look l = {.c = f->cache, .begin_ns = ovbd_remote_now_ns()};
	char is[OVBD_CACHE_SHA256_SIZE];
	enum cache_whole r;

	memcpy(l.name, f->name, sizeof(l.name));
	r = cache_whole_look(f, go_on, &l, is);
	if (r == CACHE_WHOLE_RIGHT) {
		atomic_fetch_add(&f->cache->nwhole, 1);
		ovbd_remote_count(OVBD_COUNT_WHOLE, 1);
	}
	if (r == CACHE_WHOLE_WRONG) {
		cache_whole_drop(f);
		atomic_fetch_add(&f->cache->nwrong, 1);
		ovbd_remote_count(OVBD_COUNT_WRONG, 1);
		if (tell)
			tell_wrong(f, is);
	}
	return r;
}

/* *ret_busy: another process does it. */
static enum cache_whole check(struct ovbd_cache *c, const char *name, bool tell, bool *ret_busy)
{
	enum cache_whole r = CACHE_WHOLE_UNKNOWN;
	struct cache_file f;

	if (!cache_file_peek(c, name, &f))
		return r;
	*ret_busy = !cache_lock_try(f.map_fd, LOOK_AT, 1);
	if (!*ret_busy && cache_file_is_whole(&f) && !cache_whole_is_marked(&f))
		r = look(&f, tell);
	cache_file_unpeek(&f);
	return r;
}

/* Under c->lock, which is let go meanwhile. f may go then, too. */
static void run(struct ovbd_cache *c, struct cache_file *f)
{
	const bool tell = f->nwrong == 0;
	char name[CACHE_NAME_SIZE];
	enum cache_whole r;
	bool busy = false;

	memcpy(name, f->name, sizeof(name));
	f->wanted = false;
	pthread_mutex_unlock(&c->lock);
	r = check(c, name, tell, &busy);
	pthread_mutex_lock(&c->lock);
	f = find(c, name);
	if (f && r == CACHE_WHOLE_WRONG)
		f->nwrong++;
	if (f && busy) {
		f->wanted = true;
		f->due_ms = cache_now_ms() + BUSY_MS;
	}
}

void *cache_check_thread(void *arg)
{
	struct ovbd_cache *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		struct cache_file *first = NULL;

		for (struct cache_file *f = c->files; f; f = f->next)
			if (f->wanted && (!first || f->due_ms < first->due_ms))
				first = f;
		if (!first)
			pthread_cond_wait(&c->checks, &c->lock);
		else if (first->due_ms > cache_now_ms())
			wait_until(c, ovbd_remote_now_ns() + BUSY_MS * UINT64_C(1000000));
		else
			run(c, first);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}
