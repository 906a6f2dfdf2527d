// SPDX-License-Identifier: Apache-2.0
#include "daemon/lock.h"

#include <errno.h>
#include <sys/file.h>
#include <time.h>

#define LOCK_WAIT_MS 1000
#define LOCK_POLL_MS 10

int ovbd_lock_fd(int fd)
{
	const struct timespec poll = {.tv_nsec = LOCK_POLL_MS * 1000000L};

	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited >= LOCK_WAIT_MS)
			return -EBUSY;
		nanosleep(&poll, NULL);
	}
	return 0;
}
