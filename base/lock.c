// SPDX-License-Identifier: Apache-2.0
#include "base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

/* The process whose flock on that file /proc/locks lists; 0: none. */
static int find_holder(const struct stat *st)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256];
	int found = 0;

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned major, minor;
		unsigned long inode;
		int pid;

		if (sscanf(line, "%*s FLOCK ADVISORY WRITE %d %x:%x:%lu", &pid, &major, &minor,
		           &inode) == 4 &&
		    makedev(major, minor) == st->st_dev && inode == st->st_ino && pid > 0)
			found = pid;
	}
	if (f)
		fclose(f);
	return found;
}

void ovbd_lock_holder(int fd, char *ret, size_t size)
{
	char path[64], name[32] = "";
	struct stat st;
	const int pid = fstat(fd, &st) == 0 ? find_holder(&st) : 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = pid ? fopen(path, "re") : NULL;
	if (f && !fgets(name, sizeof(name), f))
		name[0] = 0;
	if (f)
		fclose(f);
	name[strcspn(name, "\n")] = 0;
	if (name[0])
		snprintf(ret, size, "process %d (%s)", pid, name);
	else
		snprintf(ret, size, "another process");
}
