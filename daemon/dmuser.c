// SPDX-License-Identifier: Apache-2.0
/*
 * A channel is a file that gives one message after another, and takes answers; it knows no poll().
 * Of a path each worker has a channel of its own; a descriptor is one for all: they take turns at
 * reading a message, and at writing an answer.
 *
 * The header of an answer is a promise that cannot be taken back, so it is written when the data
 * are there: a read that fails is answered with an error. For that a worker has a buffer as large
 * as the largest request that it has met.
 *
 * A flush that comes with a write is a request of its own before it: the worker keeps the write
 * until the flush is done.
 */
#include "daemon/dmuser.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/dmuser_impl.h"

#define LEN_MAX  (16u << 20)
#define KEEP_MAX (1u << 20) /* larger buffers are given back */

static struct dmuser *dmuser_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct dmuser, transport);
}

/* ---- answers ---- */

static int put_message(struct dmuser *d, struct dmuser_worker *w, const struct dmuser_header *h,
                       const uint8_t *data, size_t len)
{
	uint8_t raw[DMUSER_HEADER_OLD_SIZE];
	int r;

	dmuser_header_encode(h, raw);
	r = dmuser_put(d, w, raw, d->header_size);
	return r == 0 && len > 0 ? dmuser_put(d, w, data, len) : r;
}

/* The request's header goes back with the kind of answer; data follow what was read. */
static int reply(struct dmuser *d, struct dmuser_worker *w, uint64_t type)
{
	const bool data = type == DMUSER_SUCCESS && w->h.type == DMUSER_READ;
	const size_t len = data ? (size_t)w->h.len : 0;
	const size_t most = d->header_size == DMUSER_HEADER_SIZE ? LEN_MAX : DMUSER_OLD_PIECE;
	struct dmuser_header h = w->h;
	size_t at = 0;
	int r;

	h.type = type;
	dmuser_enter(w);
	pthread_mutex_lock(&w->channel->writing);
	do {
		const size_t n = (size_t)ovbd_min(len - at, most);

		h.more = at + n < len;
		r = put_message(d, w, &h, w->buf + at, n);
		at += n;
	} while (r == 0 && at < len);
	pthread_mutex_unlock(&w->channel->writing);
	dmuser_leave(w);
	if (w->size > KEEP_MAX) {
		free(w->buf);
		w->buf = NULL;
		w->size = 0;
	}
	return r;
}

/* ---- requests ---- */

static int grow(struct dmuser_worker *w, size_t len)
{
	uint8_t *buf;

	if (len <= w->size)
		return 0;
	buf = malloc(len);
	if (!buf)
		return -ENOMEM;
	free(w->buf);
	w->buf = buf;
	w->size = len;
	return 0;
}

/* The data of a write that is refused: the next message begins behind them. */
static int skip_data(struct dmuser *d, struct dmuser_worker *w, uint64_t len)
{
	uint8_t unwanted[4096];
	int r = 0;

	for (uint64_t n; r == 0 && len > 0; len -= n) {
		n = ovbd_min(len, sizeof(unwanted));
		r = dmuser_get(d, w, unwanted, (size_t)n, true);
	}
	return r;
}

/* A message, with its data. *ret_type: how it must be answered at once; DMUSER_SUCCESS: as what it
 * asks for turns out. */
static int get_message(struct dmuser *d, struct dmuser_worker *w, uint64_t *ret_type)
{
	uint8_t raw[DMUSER_HEADER_OLD_SIZE];
	bool data;
	int r = dmuser_get(d, w, raw, d->header_size, false);

	if (r < 0)
		return r;
	w->h = dmuser_header_decode(raw);
	data = w->h.type == DMUSER_READ || w->h.type == DMUSER_WRITE;
	*ret_type = DMUSER_SUCCESS;
	if (data && (w->h.len > LEN_MAX || grow(w, (size_t)w->h.len) < 0))
		*ret_type = DMUSER_ERROR;
	if (w->h.type != DMUSER_WRITE)
		return 0;
	return *ret_type == DMUSER_SUCCESS ? dmuser_get(d, w, w->buf, (size_t)w->h.len, true)
	                                   : skip_data(d, w, w->h.len);
}

static int get_turn(struct dmuser *d, struct dmuser_worker *w, uint64_t *ret_type)
{
	int r;

	pthread_mutex_lock(&w->channel->reading);
	dmuser_enter(w);
	r = atomic_load(&d->stopping) ? -ESHUTDOWN : get_message(d, w, ret_type);
	dmuser_leave(w);
	pthread_mutex_unlock(&w->channel->reading);
	return r;
}

static bool is_flush(const struct dmuser_header *h)
{
	return h->type == DMUSER_FLUSH ||
	       (h->type == DMUSER_WRITE && h->len == 0 && (h->flags & DMUSER_PREFLUSH));
}

/* What the header asks for, but for a flush before it. false: it is answered with *ret_type. */
static bool decode(const struct dmuser *d, struct dmuser_worker *w, struct ovbd_request *ret,
                   uint64_t *ret_type)
{
	static const int kinds[] = {
		[DMUSER_READ] = OVBD_REQUEST_READ,
		[DMUSER_WRITE] = OVBD_REQUEST_WRITE,
		[DMUSER_FLUSH] = OVBD_REQUEST_FLUSH,
		[DMUSER_DISCARD] = OVBD_REQUEST_DISCARD,
		[DMUSER_WRITE_ZEROES] = OVBD_REQUEST_WRITE_ZEROES,
		[DMUSER_WRITE_ZEROES - 1] = -1, /* write same */
		[DMUSER_DISCARD + 1] = -1,      /* secure erase: more than a discard */
	};
	const struct dmuser_header *h = &w->h;
	uint64_t off;

	*ret_type = DMUSER_UNSUPPORTED;
	if (h->type >= sizeof(kinds) / sizeof(kinds[0]) || kinds[h->type] < 0)
		return false;
	*ret = (struct ovbd_request){.op = (enum ovbd_request_op)kinds[h->type]};
	if (is_flush(h)) {
		ret->op = OVBD_REQUEST_FLUSH;
		return true;
	}
	*ret_type = DMUSER_ERROR;
	if (!ovbd_mul(h->sector, DMUSER_SECTOR_SIZE, &off) || !ovbd_within(off, h->len, d->size))
		return false;
	*ret_type = DMUSER_SUCCESS;
	if (h->len == 0)
		return false;
	w->piece = (struct iovec){.iov_base = w->buf, .iov_len = (size_t)h->len};
	if (h->type == DMUSER_READ || h->type == DMUSER_WRITE) {
		ret->iov = &w->piece;
		ret->niov = 1;
	}
	ret->flags = (h->flags & DMUSER_FUA ? OVBD_WRITE_FUA : 0) |
	             (h->flags & DMUSER_NOUNMAP ? OVBD_WRITE_ALLOC : 0);
	ret->off = off;
	ret->len = h->len;
	return true;
}

/* Of what the worker has, what is to be done now. */
static bool take(const struct dmuser *d, struct dmuser_worker *w, struct ovbd_request *ret,
                 uint64_t *ret_type)
{
	if (!decode(d, w, ret, ret_type))
		return false;
	w->after_flush = !w->after_flush && (w->h.flags & DMUSER_PREFLUSH) &&
	                 ret->op != OVBD_REQUEST_FLUSH && ret->op != OVBD_REQUEST_READ;
	if (w->after_flush)
		*ret = (struct ovbd_request){.op = OVBD_REQUEST_FLUSH};
	return true;
}

static const char *name_of(const struct dmuser *d)
{
	return d->path ? d->path : "dm-user";
}

static int dmuser_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                       struct ovbd_error *err)
{
	struct dmuser *d = dmuser_of(t);
	struct dmuser_worker *w = &d->workers[worker];
	uint64_t type;
	int r;

	if (w->after_flush) {
		take(d, w, ret, &type); /* as it did before its flush */
		return 0;
	}
	for (;;) {
		r = get_turn(d, w, &type);
		if (r == 0 && type == DMUSER_SUCCESS && take(d, w, ret, &type))
			return 0;
		if (r == 0)
			r = reply(d, w, type);
		if (r < 0)
			return r == -ESHUTDOWN
			               ? r
			               : ovbd_fail_errno(err, r, "%s: a message", name_of(d));
	}
}

static int dmuser_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                           int status)
{
	struct dmuser *d = dmuser_of(t);
	struct dmuser_worker *w = &d->workers[worker];
	int r;

	(void)rq;
	if (status == 0 && w->after_flush)
		return 0; /* the rest is the next request */
	w->after_flush = false;
	if (status == 0)
		r = reply(d, w, DMUSER_SUCCESS);
	else
		r = reply(d, w, status == -ENOTSUP ? DMUSER_UNSUPPORTED : DMUSER_ERROR);
	return r == -ESHUTDOWN ? 0 : r; /* next() will find the same */
}

static void dmuser_stop(struct ovbd_transport *t)
{
	struct dmuser *d = dmuser_of(t);

	atomic_store(&d->stopping, true);
	dmuser_keeper_wake(d);
}

static void dmuser_close(struct ovbd_transport *t)
{
	struct dmuser *d = dmuser_of(t);

	dmuser_keeper_end(d);
	for (unsigned i = 0; i < d->nchannels; i++) {
		close(d->channels[i].fd);
		pthread_mutex_destroy(&d->channels[i].reading);
		pthread_mutex_destroy(&d->channels[i].writing);
	}
	for (unsigned i = 0; i < d->nworkers; i++) {
		free(d->workers[i].buf);
		pthread_mutex_destroy(&d->workers[i].lock);
	}
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	free(d->channels);
	free(d->workers);
	free(d->path);
	free(d);
}

static const struct ovbd_transport_ops dmuser_ops = {
	.name = "dm-user",
	.next = dmuser_next,
	.complete = dmuser_complete,
	.stop = dmuser_stop,
	.close = dmuser_close,
};

/* ---- opening ---- */

static void add_channel(struct dmuser *d, int take_fd)
{
	struct dmuser_channel *c = &d->channels[d->nchannels++];

	c->fd = take_fd;
	pthread_mutex_init(&c->reading, NULL);
	pthread_mutex_init(&c->writing, NULL);
}

static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int open_channel(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (!is_socket(path))
		return open(path, O_RDWR | O_CLOEXEC);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_channels(struct dmuser *d, unsigned n, struct ovbd_error *err)
{
	while (d->nchannels < n) {
		const int fd = open_channel(d->path);

		if (fd < 0 && errno == ENOENT)
			return ovbd_fail(
				err, -ENOENT,
				"%s: not there: load a table with a dm-user target of this "
				"name first ('dmsetup create' ... 'user')",
				d->path);
		if (fd < 0)
			return ovbd_fail_errno(err, -errno, "%s", d->path);
		add_channel(d, fd);
	}
	return 0;
}

static int prepare(struct dmuser *d, const struct ovbd_dmuser_params *p, struct ovbd_error *err)
{
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake_fd < 0)
		return ovbd_fail_errno(err, -errno, "eventfd");
	d->workers = ovbd_array_alloc(p->nworkers, sizeof(d->workers[0]));
	if (!d->workers || !d->channels || (p->path && !d->path))
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (; d->nworkers < p->nworkers; d->nworkers++)
		pthread_mutex_init(&d->workers[d->nworkers].lock, NULL);
	return 0;
}

int ovbd_dmuser_open(const struct ovbd_dmuser_params *p, struct ovbd_transport **ret,
                     struct ovbd_error *err)
{
	struct dmuser *d = calloc(1, sizeof(*d));
	const unsigned nchannels = p->path && !is_socket(p->path) ? p->nworkers : 1;
	int r;

	if (d)
		d->channels = ovbd_array_alloc(nchannels, sizeof(d->channels[0]));
	if (!d || !d->channels) {
		free(d);
		if (!p->path)
			close(p->take_fd);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	d->transport.ops = &dmuser_ops;
	d->size = p->device->blob->size;
	d->header_size = p->old ? DMUSER_HEADER_OLD_SIZE : DMUSER_HEADER_SIZE;
	if (p->path)
		d->path = strdup(p->path);
	else
		add_channel(d, p->take_fd);
	r = prepare(d, p, err);
	if (r == 0 && p->path)
		r = open_channels(d, nchannels, err);
	for (unsigned i = 0; r == 0 && i < d->nworkers; i++)
		d->workers[i].channel = &d->channels[i % d->nchannels];
	if (r == 0)
		r = dmuser_keeper_start(d);
	if (r < 0) {
		dmuser_close(&d->transport);
		return r;
	}
	*ret = &d->transport;
	return 0;
}
