// SPDX-License-Identifier: Apache-2.0
/*
 * A server without a listener, and a connection that has no handshake: what one would settle is
 * said to the kernel by netlink. Requests and answers are the server's affair; here is how the disk
 * comes and goes.
 *
 * detach() opens the disk, has it end with its last user, and closes it again: if that was the last
 * user, the disk is gone. So there is no moment between "nobody uses it" and its end. The helper
 * does what may wait for the server: a thread of a server that is killed while it flushes its own
 * disk would keep the connection that the next one must replace.
 *
 * A connection that ends although the disk is still there is a failure, after which the disk is
 * opened again. When somebody else has disconnected it, there is nothing more to serve.
 */
#include "daemon/nbd_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/auto.h"
#include "daemon/fault_point.h"
#include "daemon/helper.h"
#include "daemon/nbd.h"
#include "daemon/nbd_proto.h"

#define BUFFER_SIZE     (4 << 20)
#define RECONNECT_TRIES 250 /* the kernel may be slow to notice that a server has died */
#define RECONNECT_MS    20
#define RESIZE_MS       10000 /* the server may be about to end */

struct nbd_kernel {
	struct ovbd_transport transport;
	struct ovbd_transport *server;
	unsigned n; /* of /dev/nbdN */
	bool read_only;
	atomic_bool stopped, leaving;
	char backend[];
};

static struct nbd_kernel *kernel_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct nbd_kernel, transport);
}

static int kernel_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                       struct ovbd_error *err)
{
	struct nbd_kernel *k = kernel_of(t);
	const int r = k->server->ops->next(k->server, worker, ret, err);

	if (r == -ESHUTDOWN && !k->stopped && !k->leaving && nbd_disk_has(k->n, k->backend))
		return ovbd_fail(err, -ENOTCONN,
		                 "/dev/nbd%u: the kernel has given up the connection", k->n);
	return r;
}

static int kernel_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                           int status)
{
	struct nbd_kernel *k = kernel_of(t);

	return k->server->ops->complete(k->server, worker, rq, status);
}

static void kernel_stop(struct ovbd_transport *t)
{
	struct nbd_kernel *k = kernel_of(t);

	k->stopped = true;
	k->server->ops->stop(k->server);
}

static int kernel_detach(struct ovbd_transport *t, struct ovbd_error *err)
{
	struct nbd_kernel *k = kernel_of(t);
	char path[OVBD_NBD_KERNEL_PATH_SIZE];
	bool left;
	int hold, r;

	snprintf(path, sizeof(path), "/dev/nbd%u", k->n);
	r = ovbd_helper_hold(path, &hold, err);
	if (r < 0)
		return r;
	if (!k->read_only)
		ovbd_helper_write_back(path, NULL);
	ovbd_fault_point("nbd-held");
	r = nbd_disk_end_with_users(k->n, k->backend, err);
	k->leaving |= r == 0;
	ovbd_fault_point("nbd-leaving");
	ovbd_helper_release(hold);
	ovbd_fault_point("nbd-released");
	if (r < 0)
		return r;
	left = nbd_disk_has(k->n, k->backend);
	if (!left)
		k->server->ops->stop(k->server);
	return left;
}

static void kernel_close(struct ovbd_transport *t)
{
	struct nbd_kernel *k = kernel_of(t);

	if (k->leaving && nbd_disk_has(k->n, k->backend))
		nbd_disk_disconnect(k->n, NULL);
	ovbd_fault_point("nbd-closed");
	k->server->ops->close(k->server);
	free(k);
}

int ovbd_nbd_kernel_resize(struct ovbd_transport *t, uint64_t size, struct ovbd_error *err)
{
	struct nbd_kernel *k = kernel_of(t);

	ovbd_nbd_resize(k->server, size);
	return ovbd_helper_resize_nbd(k->n, k->backend, size, RESIZE_MS, err);
}

static const struct ovbd_transport_ops kernel_ops = {
	.name = "nbd",
	.next = kernel_next,
	.complete = kernel_complete,
	.detach = kernel_detach,
	.stop = kernel_stop,
	.close = kernel_close,
};

static void close_half_built(struct nbd_kernel **k)
{
	if (!*k)
		return;
	if ((*k)->server)
		(*k)->server->ops->close((*k)->server);
	free(*k);
}

/* ret[0] is for the server, ret[1] for the kernel. */
static int make_pair(int ret[2], struct ovbd_error *err)
{
	const int size = BUFFER_SIZE;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) < 0)
		return ovbd_fail_errno(err, -errno, "a pair of sockets");
	for (int i = 0; i < 2; i++)
		setsockopt(ret[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return 0;
}

static unsigned flags_of(bool read_only)
{
	return NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH |
	       (read_only ? NBD_FLAG_READ_ONLY
	                  : NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES);
}

static int connect_new(struct nbd_kernel *k, uint64_t size, int *ret_fd, struct ovbd_error *err)
{
	int pair[2], r = make_pair(pair, err);

	if (r < 0)
		return r;
	r = nbd_disk_connect(pair[1], k->backend, size, flags_of(k->read_only), err);
	ovbd_fault_point("nbd-connected");
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	k->n = (unsigned)r;
	*ret_fd = pair[0];
	return 0;
}

static int check_same(const struct nbd_kernel *k, uint64_t size, struct ovbd_error *err)
{
	uint64_t has;
	bool read_only;
	int r = nbd_disk_look(k->n, &has, &read_only, err);

	if (r < 0)
		return r;
	if (has != size)
		return ovbd_fail(err, -ESTALE,
		                 "/dev/nbd%u: has %" PRIu64 " bytes, the image %" PRIu64
		                 ": detach it first",
		                 k->n, has, size);
	if (read_only != k->read_only)
		return ovbd_fail(err, -ESTALE,
		                 "/dev/nbd%u: is %s, and now shall not be: detach it "
		                 "first",
		                 k->n, read_only ? "read-only" : "writable");
	return 0;
}

/* Whether the kernel has kept its end of the pair. */
static bool is_kept(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 0;
}

static int connect_again(struct nbd_kernel *k, int *ret_fd, struct ovbd_error *err)
{
	const struct timespec pause = {.tv_nsec = RECONNECT_MS * 1000000};

	for (int i = 0; i < RECONNECT_TRIES; i++) {
		int pair[2], r = make_pair(pair, err);

		if (r < 0)
			return r;
		r = nbd_disk_reconnect(k->n, k->backend, pair[1], err);
		ovbd_fault_point("nbd-reconnected");
		close(pair[1]);
		if (r == 0 && is_kept(pair[0])) {
			*ret_fd = pair[0];
			return 0;
		}
		close(pair[0]);
		if (r < 0)
			return r;
		nanosleep(&pause, NULL);
	}
	return ovbd_fail(err, -EBUSY, "/dev/nbd%u: another server serves it", k->n);
}

int ovbd_nbd_kernel_open(const struct ovbd_nbd_kernel_params *p, char *ret_path,
                         struct ovbd_transport **ret, struct ovbd_error *err)
{
	const struct ovbd_nbd_params server = {
		.export = "",
		.device = p->device,
		.nworkers = p->nworkers,
	};
	const uint64_t size = p->device->blob->size;
	OVBD_AUTO(close_half_built) struct nbd_kernel *k = NULL;
	int r, n, fd = -1;

	if (strlen(p->backend) >= NBD_BACKEND_SIZE)
		return ovbd_fail(err, -ENAMETOOLONG, "%.80s...: too long a name for a disk",
		                 p->backend);
	k = calloc(1, sizeof(*k) + strlen(p->backend) + 1);
	if (!k)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	k->transport.ops = &kernel_ops;
	k->read_only = !ovbd_device_is_writable(p->device);
	strcpy(k->backend, p->backend);
	r = ovbd_nbd_open(&server, &k->server, err);
	if (r < 0)
		return r;
	n = nbd_disk_find(k->backend);
	if (n >= 0) {
		k->n = (unsigned)n;
		r = check_same(k, size, err);
		if (r == 0)
			r = connect_again(k, &fd, err);
	} else {
		r = connect_new(k, size, &fd, err);
	}
	if (r < 0)
		return r;
	ovbd_nbd_adopt(k->server, fd);
	snprintf(ret_path, OVBD_NBD_KERNEL_PATH_SIZE, "/dev/nbd%u", k->n);
	*ret = &OVBD_MOVE(k)->transport;
	return 0;
}

int ovbd_nbd_kernel_abandon(const char *backend, struct ovbd_error *err)
{
	const int n = nbd_disk_find(backend);

	return n < 0 ? 0 : nbd_disk_disconnect((unsigned)n, err);
}
