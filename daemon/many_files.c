// SPDX-License-Identifier: Apache-2.0
/*
 * The table of files is made large at the start: while that of a process with threads grows,
 * whichever of them opens a file waits for a grace period of the kernel, some 10 ms.
 */
#include "daemon/many_files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"

#define NFILES 4096

void ovbd_many_files(void)
{
	struct rlimit files;
	int last;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	if (files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	last = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)ovbd_min(files.rlim_cur, NFILES) - 1);
	if (last >= 0)
		close(last);
}
