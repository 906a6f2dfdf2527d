/* SPDX-License-Identifier: Apache-2.0 */
/* Private to daemon/dmuser*.c. */
#ifndef OVBD_DAEMON_DMUSER_IMPL_H
#define OVBD_DAEMON_DMUSER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/dmuser.h"
#include "daemon/dmuser_format.h"

struct dmuser_channel {
	int fd;
	pthread_mutex_t reading, writing; /* guard what goes through fd, a message at a time */
};

struct dmuser_worker {
	struct dmuser_channel *channel;
	struct dmuser_header h; /* of the request it has */
	bool after_flush;       /* the request comes after the flush that it has asked for */
	uint8_t *buf;           /* owned */
	size_t size;
	struct iovec piece;
	pthread_mutex_t lock; /* guards what follows */
	bool within;          /* a call that the keeper interrupts */
	pid_t thread;         /* for ovbd_rouse(); 0 before its first call */
};

struct dmuser {
	struct ovbd_transport transport;
	uint64_t size; /* of the device */
	size_t header_size;
	char *path; /* NULL: a descriptor */
	struct dmuser_channel *channels;
	unsigned nchannels;
	struct dmuser_worker *workers;
	unsigned nworkers;
	int wake_fd;
	pthread_t keeper;
	bool has_keeper;
	atomic_bool stopping, impatient, closing;
};

/* What a worker does between these two ends soon after stop(); all calls of get and put are. */
void dmuser_enter(struct dmuser_worker *w);
void dmuser_leave(struct dmuser_worker *w);

/* All len bytes. begun: in the middle of a message, so there is no good end before them.
 * -ESHUTDOWN: stopped, or the target is gone, or the other side has closed the socket. */
int dmuser_get(struct dmuser *d, struct dmuser_worker *w, void *buf, size_t len, bool begun);
int dmuser_put(struct dmuser *d, struct dmuser_worker *w, const void *buf, size_t len);

/* The thread that wakes the workers once d is stopping. wake: a signal handler may call it. */
int dmuser_keeper_start(struct dmuser *d);
void dmuser_keeper_wake(struct dmuser *d);
void dmuser_keeper_end(struct dmuser *d);

#endif
