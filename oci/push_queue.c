// SPDX-License-Identifier: Apache-2.0
/*
 * A thread pushes what is made, in the order in which it was, while the next is being made. Files
 * stay until settle(): what is made next is made over them. The first that cannot be pushed ends
 * it.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "oci/push.h"
#include "oci/registry.h"
#include "remote/patience.h"

struct item {
	struct item *next;
	int fd;
	struct oci_ref ref;
	bool pushed;
};

struct oci_push_queue {
	struct oci_pusher *pusher; /* the thread's, once that runs */
	const atomic_bool *stop;
	pthread_t thread;
	bool started;
	atomic_bool over;    /* the thread is to end */
	atomic_bool failing; /* code is set */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by the lock; the items' own fields but pushed do not change */
	struct item *items, **last;
	int code;
	struct ovbd_error why;
};

static struct item *next_item(const struct oci_push_queue *q)
{
	struct item *i = q->items;

	while (i && i->pushed)
		i = i->next;
	return i;
}

static int push(struct oci_push_queue *q, const struct item *i, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	const int fd = dup(i->fd);
	int r;

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "a temporary file");
	r = ovbd_blob_open_fd(fd, "a temporary file", &b, err);
	return r < 0 ? r : oci_push_blob(q->pusher, b, &i->ref, err);
}

static void *run(void *arg)
{
	struct oci_push_queue *q = arg;

	ovbd_patience_set((struct ovbd_patience){.stop = &q->over});
	pthread_mutex_lock(&q->lock);
	while (!atomic_load(&q->over) && q->code == 0) {
		struct item *i = next_item(q);
		struct ovbd_error why = {""};
		int r;

		if (!i) {
			pthread_cond_wait(&q->changed, &q->lock);
			continue;
		}
		pthread_mutex_unlock(&q->lock);
		r = push(q, i, &why);
		pthread_mutex_lock(&q->lock);
		i->pushed = r == 0;
		if (r < 0) {
			q->code = r;
			q->why = why;
			atomic_store(&q->failing, true);
		}
		pthread_cond_broadcast(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

int oci_push_queue_open(const struct ovbd_repository *repo, const atomic_bool *stop,
                        struct oci_push_queue **ret, struct ovbd_error *err)
{
	struct oci_push_queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	q->stop = stop;
	q->last = &q->items;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->changed, NULL);
	r = oci_pusher_open(repo, NULL, &q->pusher, err);
	if (r < 0)
		oci_push_queue_close(q);
	else
		*ret = q;
	return r;
}

static void drop_items(struct oci_push_queue *q)
{
	while (q->items) {
		struct item *i = q->items;

		q->items = i->next;
		close(i->fd);
		free(i);
	}
	q->last = &q->items;
}

void oci_push_queue_close(struct oci_push_queue *take_q)
{
	if (!take_q)
		return;
	pthread_mutex_lock(&take_q->lock);
	atomic_store(&take_q->over, true);
	pthread_cond_broadcast(&take_q->changed);
	pthread_mutex_unlock(&take_q->lock);
	if (take_q->started)
		pthread_join(take_q->thread, NULL);
	drop_items(take_q);
	oci_pusher_close(take_q->pusher);
	pthread_cond_destroy(&take_q->changed);
	pthread_mutex_destroy(&take_q->lock);
	free(take_q);
}

bool oci_push_queue_works(struct oci_push_queue *q)
{
	return !atomic_load(&q->failing);
}

/* The thread's failure. */
static int failure(struct oci_push_queue *q, struct ovbd_error *err)
{
	int r;

	pthread_mutex_lock(&q->lock);
	r = q->code < 0 ? ovbd_fail(err, q->code, "%s", q->why.msg) : 0;
	pthread_mutex_unlock(&q->lock);
	return r;
}

int oci_push_queue_check(struct oci_push_queue *q, struct ovbd_error *err)
{
	return q->started ? failure(q, err) : oci_push_prepare(q->pusher, err);
}

int oci_push_queue_add(struct oci_push_queue *q, int take_fd, const struct oci_ref *ref,
                       struct ovbd_error *err)
{
	struct item *i = malloc(sizeof(*i));
	int r = 0;

	if (!i) {
		close(take_fd);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	*i = (struct item){.fd = take_fd, .ref = *ref};
	pthread_mutex_lock(&q->lock);
	*q->last = i;
	q->last = &i->next;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	if (!q->started) {
		r = ovbd_thread_start(&q->thread, run, q);
		if (r < 0)
			return ovbd_fail_errno(err, r, "a thread that pushes");
		q->started = true;
	}
	return failure(q, err);
}

int oci_push_queue_find(struct oci_push_queue *q, const char *digest)
{
	int fd = -1;

	pthread_mutex_lock(&q->lock);
	for (const struct item *i = q->items; i && fd < 0; i = i->next)
		if (strcmp(i->ref.digest, digest) == 0)
			fd = i->fd;
	pthread_mutex_unlock(&q->lock);
	return fd;
}

/* With the lock: until something has changed, or a moment has passed. */
static void wait_a_moment(struct oci_push_queue *q)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 100000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&q->changed, &q->lock, &until);
}

static void tell(const struct oci_push_queue *q, oci_waiting_fn waiting, void *arg)
{
	uint64_t size = 0;
	size_t n = 0;

	for (const struct item *i = q->items; i; i = i->next) {
		n += !i->pushed;
		size += i->pushed ? 0 : i->ref.size;
	}
	if (waiting && n > 0)
		waiting(arg, n, size);
}

int oci_push_queue_settle(struct oci_push_queue *q, oci_waiting_fn waiting, void *arg,
                          struct ovbd_error *err)
{
	int r = 0;

	pthread_mutex_lock(&q->lock);
	while (r == 0 && q->code == 0 && next_item(q)) {
		tell(q, waiting, arg);
		wait_a_moment(q);
		if (q->stop && atomic_load(q->stop))
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	if (r == 0 && q->code < 0)
		r = ovbd_fail(err, q->code, "%s", q->why.msg);
	if (r == 0)
		drop_items(q);
	pthread_mutex_unlock(&q->lock);
	return r;
}
