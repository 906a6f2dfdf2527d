// SPDX-License-Identifier: Apache-2.0
/*
 * libfuse decodes a request and calls one of the callbacks below, in the same thread. What needs no
 * device is answered there and then. All else is left in the worker that is being served
 * (this_worker): a read is answered straight from its buffer, a write takes the bytes from where
 * they were read to.
 *
 * Nobody but the users of this mount changes the content, so the kernel may keep what it has read
 * (keep_cache) and what it knows of the file (timeouts) for good: the page cache is the cache of
 * what the blob has inflated. What is written goes through it to the device at once.
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>

#include "base/bytes.h"
#include "base/device.h"
#include "daemon/fuse_impl.h"

#define FOREVER        (365.0 * 24 * 3600) /* seconds */
#define MIN_BACKGROUND 64                  /* readaheads in flight; the kernel's own figure is 12 */
#define WIRE_ERRNO_MAX 511                 /* the kernel takes no larger one in an answer */

static _Thread_local struct fuse_worker *this_worker; /* while libfuse decodes its request */

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct fuse_transport *f = userdata;

	conn->max_write = OVBD_FUSE_MAX_READ; /* from which libfuse derives the pages of a read */
	conn->max_readahead = OVBD_FUSE_MAX_READ;
	conn->max_background = f->nworkers > MIN_BACKGROUND ? f->nworkers : MIN_BACKGROUND;
	conn->congestion_threshold = conn->max_background;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE);
}

static void reply_attr(fuse_req_t req, const struct fuse_transport *f)
{
	const uint64_t size = f->size;
	struct stat attr = f->attr;

	attr.st_size = (off_t)size;
	attr.st_blocks = (blkcnt_t)(size / 512 + (size % 512 != 0));
	fuse_reply_attr(req, &attr, FOREVER);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	reply_attr(req, f);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* Leaves a read or write of len bytes at off, or as many as there are, to the worker. */
static void begin_transfer(fuse_req_t req, enum ovbd_request_op op, void *buf, size_t len,
                           uint64_t off)
{
	const struct fuse_transport *f = fuse_req_userdata(req);
	struct fuse_worker *w = this_worker;

	w->piece = (struct iovec){
		.iov_base = buf,
		.iov_len = (size_t)ovbd_min(len, f->size - off),
	};
	w->rq = (struct ovbd_request){
		.op = op,
		.iov = &w->piece,
		.niov = 1,
		.off = off,
		.len = w->piece.iov_len,
	};
	w->req = req;
}

/* The kernel asks for whole pages, also where the last one is not full. */
static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
                    struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);
	const uint64_t size = f->size, at = (uint64_t)off;

	(void)ino;
	(void)fi;
	if (off < 0 || len > OVBD_FUSE_MAX_READ) {
		fuse_reply_err(req, EINVAL);
	} else if (at >= size || len == 0) {
		fuse_reply_buf(req, NULL, 0);
	} else {
		begin_transfer(req, OVBD_REQUEST_READ, this_worker->out, len, at);
	}
}

/* A size that is the file's own is no change. Times are nobody's business: there is one file. */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);
	const int refused = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;

	(void)ino;
	(void)fi;
	if (!f->writable)
		fuse_reply_err(req, EROFS);
	else if ((to_set & refused) ||
	         ((to_set & FUSE_SET_ATTR_SIZE) && (uint64_t)attr->st_size != f->size))
		fuse_reply_err(req, EPERM);
	else
		reply_attr(req, f);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t off,
                     struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);
	const uint64_t size = f->size, at = (uint64_t)off;

	(void)ino;
	(void)fi;
	if (!f->writable) {
		fuse_reply_err(req, EROFS);
	} else if (off < 0 || at >= size) {
		fuse_reply_err(req, ENOSPC);
	} else if (len == 0) {
		fuse_reply_write(req, 0);
	} else {
		begin_transfer(req, OVBD_REQUEST_WRITE, (void *)(uintptr_t)buf, len, at);
	}
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);
	struct fuse_worker *w = this_worker;

	(void)ino;
	(void)datasync;
	(void)fi;
	if (!f->writable) {
		fuse_reply_err(req, 0);
		return;
	}
	w->rq = (struct ovbd_request){.op = OVBD_REQUEST_FLUSH};
	w->req = req;
}

/* A loop device discards and zeroes in this way; both read as zeros afterwards. */
static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);
	const int kind = mode & ~FALLOC_FL_KEEP_SIZE;
	const uint64_t size = f->size, at = (uint64_t)off;
	struct fuse_worker *w = this_worker;

	(void)ino;
	(void)fi;
	if (!f->writable) {
		fuse_reply_err(req, EROFS);
	} else if (kind != FALLOC_FL_PUNCH_HOLE && kind != FALLOC_FL_ZERO_RANGE) {
		fuse_reply_err(req, EOPNOTSUPP);
	} else if (off < 0 || len <= 0) {
		fuse_reply_err(req, EINVAL);
	} else if (!(mode & FALLOC_FL_KEEP_SIZE) && !ovbd_within(at, (uint64_t)len, size)) {
		fuse_reply_err(req, ENOSPC);
	} else if (at >= size) {
		fuse_reply_err(req, 0);
	} else {
		w->rq = (struct ovbd_request){
			.op = OVBD_REQUEST_WRITE_ZEROES,
			.flags = kind == FALLOC_FL_ZERO_RANGE ? OVBD_WRITE_ALLOC : 0,
			.off = at,
			.len = (uint64_t)len < size - at ? (uint64_t)len : size - at,
		};
		w->req = req;
	}
}

const struct fuse_lowlevel_ops fuse_lowlevel = {
	.init = on_init,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
	.setattr = on_setattr,
	.write = on_write,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
};

void fuse_decode(struct fuse_transport *f, struct fuse_worker *w, size_t len)
{
	const struct fuse_buf buf = {.mem = w->in, .size = len};

	this_worker = w;
	fuse_session_process_buf(f->session, &buf);
	this_worker = NULL;
}

/* What the kernel takes as an error's number, and what a reader takes as an error: EAGAIN and EINTR
 * of a file mean "ask again at once" to many. */
static int wire_errno(int status)
{
	const int e = -status;

	return e > WIRE_ERRNO_MAX || e == EAGAIN || e == EINTR ? EIO : e;
}

int fuse_answer(struct fuse_worker *w, int status)
{
	const fuse_req_t req = w->req;

	w->req = NULL;
	if (status == 0 && w->rq.op == OVBD_REQUEST_READ)
		return fuse_reply_buf(req, w->out, w->rq.len);
	if (status == 0 && w->rq.op == OVBD_REQUEST_WRITE)
		return fuse_reply_write(req, w->rq.len);
	return fuse_reply_err(req, status == 0 ? 0 : wire_errno(status));
}
