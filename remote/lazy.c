// SPDX-License-Identifier: Apache-2.0
/*
 * One read opens the object, and those that come meanwhile wait for what becomes of it: if it
 * cannot be opened they all fail with the same, and not one after the other, each after a deadline
 * of its own.
 */
#include "remote/lazy.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "remote/http_impl.h"

struct lazy {
	struct ovbd_blob blob;
	char *url;
	struct ovbd_http_params *params;
	atomic_bool patient;
	struct ovbd_blob *_Atomic source; /* NULL: not open yet; never changes after that */
	pthread_mutex_t lock;             /* guards what follows */
	pthread_cond_t opened;
	bool opening;
	uint64_t ntries; /* to open it; what became of the last one: */
	int code;
	struct ovbd_error why;
};

static struct lazy *lazy_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct lazy, blob);
}

static int open_source(const struct lazy *l, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct ovbd_http_params p = *l->params;
	char shown[OVBD_HTTP_SHOWN_SIZE];
	AUTO_BLOB *b = NULL;
	int r;

	if (atomic_load(&l->patient))
		p.open_attempts = p.max_attempts;
	r = ovbd_http_open(l->url, &p, &b, err);
	if (r < 0)
		return r;
	ovbd_http_show(l->url, shown);
	if (b->size != l->blob.size)
		return ovbd_fail(err, -EBADMSG,
		                 "%s: is %" PRIu64 " bytes, but the configuration says %" PRIu64,
		                 shown, b->size, l->blob.size);
	*ret = OVBD_MOVE(b);
	return 0;
}

/* The lock is held, and let go meanwhile. */
static void open_now(struct lazy *l)
{
	struct ovbd_blob *source = NULL;
	struct ovbd_error why;
	int r;

	l->opening = true;
	pthread_mutex_unlock(&l->lock);
	r = open_source(l, &source, &why);
	pthread_mutex_lock(&l->lock);
	l->opening = false;
	l->ntries++;
	l->code = r;
	if (r < 0)
		l->why = why;
	else
		atomic_store(&l->source, source);
	pthread_cond_broadcast(&l->opened);
}

static int get_source(struct lazy *l, struct ovbd_blob **ret, struct ovbd_error *err)
{
	int r = 0;

	*ret = atomic_load(&l->source);
	if (*ret)
		return 0;
	pthread_mutex_lock(&l->lock);
	if (l->opening) {
		const uint64_t before = l->ntries;

		while (l->ntries == before)
			pthread_cond_wait(&l->opened, &l->lock);
	} else if (!atomic_load(&l->source)) {
		open_now(l);
	}
	*ret = atomic_load(&l->source);
	if (!*ret)
		r = ovbd_fail(err, l->code, "%s", l->why.msg);
	pthread_mutex_unlock(&l->lock);
	return r;
}

static int lazy_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct ovbd_blob *source;
	const int r = get_source(lazy_of(b), &source, err);

	return r < 0 ? r : ovbd_blob_pread(source, buf, len, off, err);
}

static bool lazy_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	struct ovbd_blob *source = atomic_load(&lazy_of(b)->source);

	return !source || ovbd_blob_distrust(source, off, len);
}

static void lazy_close(struct ovbd_blob *b)
{
	struct lazy *l = lazy_of(b);

	ovbd_blob_close(atomic_load(&l->source));
	pthread_cond_destroy(&l->opened);
	pthread_mutex_destroy(&l->lock);
	free(l->params);
	free(l->url);
	free(l);
}

static const struct ovbd_blob_ops lazy_ops = {
	.name = "http object",
	.pread = lazy_pread,
	.distrust = lazy_distrust,
	.close = lazy_close,
};

int ovbd_lazy_open(const char *url, uint64_t size, const struct ovbd_http_params *p,
                   struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	struct lazy *l;
	int r;

	r = http_url_check(url, err);
	if (r < 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	b = &l->blob;
	*b = (struct ovbd_blob){.ops = &lazy_ops, .size = size};
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->opened, NULL);
	l->url = strdup(url);
	l->params = http_params_copy(p);
	if (!l->url || !l->params)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret = OVBD_MOVE(b);
	return 0;
}

void ovbd_lazy_be_patient(struct ovbd_blob *b)
{
	if (b->ops == &lazy_ops)
		atomic_store(&lazy_of(b)->patient, true);
}

struct ovbd_http_stats ovbd_lazy_stats(struct ovbd_blob *b)
{
	struct ovbd_blob *source;

	if (b->ops != &lazy_ops)
		return ovbd_http_stats(b);
	source = atomic_load(&lazy_of(b)->source);
	return source ? ovbd_http_stats(source) : (struct ovbd_http_stats){0};
}
