// SPDX-License-Identifier: Apache-2.0
/*
 * How the workers share the requests. Worker 0 takes them from the kernel (ublk_queue.c) and puts
 * them in a line; the others take them from there, serve them and leave their answers, which worker
 * 0 sends. The data goes between the kernel's pages and a buffer in the thread of whoever serves.
 *
 * One thread for the driver, as a queue belongs to one thread: were it the one who serves, then a
 * read that waits for a network would hold up all that comes after it. Where nothing waits (quick),
 * worker 0 serves too: a single request, without waking anybody, and one of several if there are
 * more than idle workers.
 *
 * A buffer is 1 MiB, and there is one for each worker. They are taken from a stack, and the memory
 * of those that were used is given back after a quiet moment.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/ublk_impl.h"

static size_t buffers_size(const struct ublk_disk *d)
{
	return (size_t)d->nworkers * UBLK_MAX_IO;
}

int ublk_work_init(struct ublk_disk *d)
{
	const unsigned ntags = ublk_ntags(d);
	void *buffers;

	d->waiting = calloc(ntags, sizeof(*d->waiting));
	d->answers = calloc(ntags, sizeof(*d->answers));
	d->sending = calloc(ntags, sizeof(*d->sending));
	d->unused = calloc(d->nworkers, sizeof(*d->unused));
	if (!d->waiting || !d->answers || !d->sending || !d->unused)
		return -ENOMEM;
	for (d->nunused = 0; d->nunused < d->nworkers; d->nunused++)
		d->unused[d->nunused] = d->nunused;
	d->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->answer_fd < 0)
		return -errno;
	buffers = mmap(NULL, buffers_size(d), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	               -1, 0);
	if (buffers == MAP_FAILED)
		return -errno;
	d->buffers = buffers;
	return 0;
}

void ublk_work_release(struct ublk_disk *d)
{
	if (d->buffers)
		munmap(d->buffers, buffers_size(d));
	if (d->answer_fd >= 0)
		close(d->answer_fd);
	free(d->unused);
	free(d->sending);
	free(d->answers);
	free(d->waiting);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
}

/* Moves len bytes between buf and the pages of a request. */
static int copy_data(const struct ublk_disk *d, struct ublk_tag tag, bool to_kernel, char *buf,
                     size_t len)
{
	const uint64_t base = ublk_data_offset(tag.queue, tag.tag);

	for (size_t done = 0; done < len;) {
		const off_t at = (off_t)(base + done);
		const ssize_t n = to_kernel ? pwrite(d->fd, buf + done, len - done, at)
		                            : pread(d->fd, buf + done, len - done, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static char *buffer_of(const struct ublk_disk *d, const struct ublk_worker *w)
{
	return d->buffers + (size_t)w->buffer * UBLK_MAX_IO;
}

static bool has_data(const struct ovbd_request *rq)
{
	return rq->op == OVBD_REQUEST_READ || rq->op == OVBD_REQUEST_WRITE;
}

int ublk_work_take(struct ublk_disk *d, struct ublk_worker *w, struct ovbd_request *ret)
{
	const struct ublk_io_desc desc = d->tables[w->tag.queue][w->tag.tag];
	int r = ublk_request_decode(&desc, d->size, ret);

	if (r == 0 && ret->op == OVBD_REQUEST_WRITE)
		r = copy_data(d, w->tag, false, buffer_of(d, w), ret->len);
	if (r == 0 && has_data(ret)) {
		w->piece = (struct iovec){.iov_base = buffer_of(d, w), .iov_len = ret->len};
		ret->iov = &w->piece;
		ret->niov = 1;
	}
	return r;
}

int32_t ublk_work_result(struct ublk_disk *d, const struct ublk_worker *w,
                         const struct ovbd_request *rq, int status)
{
	if (status == 0 && rq->op == OVBD_REQUEST_READ)
		status = copy_data(d, w->tag, true, buffer_of(d, w), rq->len);
	return ublk_result(rq, status);
}

/* The first in the line, and a buffer, which there is for each worker. Lock held. */
static void pop(struct ublk_disk *d, struct ublk_worker *w)
{
	w->tag = d->waiting[d->first];
	w->buffer = d->unused[--d->nunused];
	d->first = (d->first + 1) % ublk_ntags(d);
	d->nwaiting--;
	d->nserved++;
	d->touched = true;
}

/* Lock held. */
static void unpop(struct ublk_disk *d, const struct ublk_worker *w)
{
	d->unused[d->nunused++] = w->buffer;
	d->nserved--;
}

/* Lock held. */
static void answer(struct ublk_disk *d, const struct ublk_worker *w, int32_t result)
{
	const uint64_t one = 1;

	unpop(d, w);
	d->answers[d->nanswers++] = (struct ublk_answer){.tag = w->tag, .result = result};
	if (d->asleep && write(d->answer_fd, &one, sizeof(one)) == sizeof(one))
		d->asleep = false;
}

int ublk_work_next(struct ublk_disk *d, struct ublk_worker *w, struct ovbd_request *ret)
{
	int r;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		d->nidle++;
		while (d->nwaiting == 0 && !d->over)
			pthread_cond_wait(&d->changed, &d->lock);
		d->nidle--;
		if (d->over)
			break;
		pop(d, w);
		pthread_mutex_unlock(&d->lock);
		r = ublk_work_take(d, w, ret);
		if (r == 0)
			return 0;
		pthread_mutex_lock(&d->lock);
		answer(d, w, r);
	}
	pthread_mutex_unlock(&d->lock);
	return -ESHUTDOWN;
}

void ublk_work_complete(struct ublk_disk *d, const struct ublk_worker *w,
                        const struct ovbd_request *rq, int status)
{
	const int32_t result = ublk_work_result(d, w, rq, status);

	pthread_mutex_lock(&d->lock);
	answer(d, w, result);
	pthread_mutex_unlock(&d->lock);
}

bool ublk_work_give(struct ublk_disk *d, const struct ublk_tag *tags, unsigned n,
                    struct ublk_worker *w, unsigned *ret_nlacking)
{
	const bool quick = d->quick && atomic_load_explicit(d->quick, memory_order_relaxed);
	bool mine;

	pthread_mutex_lock(&d->lock);
	d->asleep = false;
	for (unsigned i = 0; i < n; i++)
		d->waiting[(d->first + d->nwaiting++) % ublk_ntags(d)] = tags[i];
	mine = d->nwaiting > 0 &&
	       (d->nworkers == 1 ||
	        (quick && (d->nwaiting > d->nidle || (d->nwaiting == 1 && d->nserved == 0))));
	if (mine)
		pop(d, w);
	if (d->nwaiting == 1)
		pthread_cond_signal(&d->changed);
	else if (d->nwaiting > 1)
		pthread_cond_broadcast(&d->changed);
	*ret_nlacking = d->nwaiting > d->nidle ? d->nwaiting - d->nidle : 0;
	pthread_mutex_unlock(&d->lock);
	return mine;
}

bool ublk_work_left(struct ublk_disk *d)
{
	bool left;

	pthread_mutex_lock(&d->lock);
	left = d->nworkers == 1 && d->nwaiting > 0;
	pthread_mutex_unlock(&d->lock);
	return left;
}

void ublk_work_took(struct ublk_disk *d, const struct ublk_worker *w)
{
	pthread_mutex_lock(&d->lock);
	unpop(d, w);
	pthread_mutex_unlock(&d->lock);
}

unsigned ublk_work_answers(struct ublk_disk *d, bool sleeps)
{
	struct ublk_answer *sent = d->sending;
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = d->nanswers;
	d->sending = d->answers;
	d->answers = sent;
	d->nanswers = 0;
	d->asleep = sleeps;
	pthread_mutex_unlock(&d->lock);
	return n;
}

void ublk_work_over(struct ublk_disk *d)
{
	pthread_mutex_lock(&d->lock);
	d->over = true;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

bool ublk_work_trim(struct ublk_disk *d)
{
	bool clean;

	pthread_mutex_lock(&d->lock);
	if (d->touched && d->nserved == 0 && d->nwaiting == 0)
		d->touched = madvise(d->buffers, buffers_size(d), MADV_DONTNEED) < 0;
	clean = !d->touched;
	pthread_mutex_unlock(&d->lock);
	return clean;
}
