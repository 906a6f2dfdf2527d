// SPDX-License-Identifier: Apache-2.0
/* Going into the background, once what is served can be found. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/auto.h"
#include "tools/serving.h"

int ovbd_serving_fork(struct ovbd_cli *c, int *ret_ready_fd, int *ret_status)
{
	int ends[2], status;
	char byte;
	pid_t pid;

	*ret_status = OVBD_EXIT_FAILURE;
	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		ovbd_cli_error(c, "going into the background: %s", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		close(ends[0]);
		setsid();
		*ret_ready_fd = ends[1];
		return 0;
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) == 1)
		*ret_status = OVBD_EXIT_OK;
	else if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		*ret_status = WEXITSTATUS(status);
	close(ends[0]);
	return 1;
}

bool ovbd_serving_enter_background(struct ovbd_serving *s, int ready_fd)
{
	AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool told;

	openlog("ovbd", LOG_PID, LOG_DAEMON);
	s->to_syslog = true;
	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	told = chdir("/") == 0 && write(ready_fd, "", 1) == 1;
	close(ready_fd);
	return told;
}
