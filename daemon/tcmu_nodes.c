// SPDX-License-Identifier: Apache-2.0
#include "daemon/tcmu_nodes.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#define BUFFER_SIZE 4096

int ovbd_tcmu_nodes_open(const char *dir)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, dir, IN_CREATE | IN_DELETE | IN_ONLYDIR) < 0) {
		const int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int ovbd_tcmu_nodes_read(int fd, void (*changed)(void *arg, unsigned minor, bool there), void *arg)
{
	alignas(struct inotify_event) char buf[BUFFER_SIZE];
	ssize_t n;
	int r = 0;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (const char *at = buf; at < buf + n;) {
			const struct inotify_event *e = (const void *)at;
			unsigned minor;
			int end = 0;

			at += sizeof(*e) + e->len;
			if (e->mask & IN_Q_OVERFLOW)
				r = -EOVERFLOW;
			else if (e->len > 0 && sscanf(e->name, "uio%u%n", &minor, &end) == 1 &&
			         e->name[end] == '\0')
				changed(arg, minor, (e->mask & IN_CREATE) != 0);
		}
	return r;
}
