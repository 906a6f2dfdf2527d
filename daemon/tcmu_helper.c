// SPDX-License-Identifier: Apache-2.0
/*
 * Each request is one datagram, with a pipe for the answer, and is done by a child of the helper,
 * so that one that takes long delays no other. The helper keeps no privilege but that of being
 * root, to whom configfs belongs, and nothing open but its socket: its end is the end of the
 * daemon.
 */
#include "daemon/tcmu_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/confine.h"

#define PATH_SIZE 1024

struct request {
	char target[PATH_SIZE], path[PATH_SIZE];
};

union control {
	char raw[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int helper = -1; /* set before there are threads */

/* The status for the pipe: 0 or an errno. */
static void work(const struct request *rq, int answer_fd)
{
	int code = 0;

	if ((rq->target[0] ? symlink(rq->target, rq->path) : unlink(rq->path)) < 0)
		code = errno;
	if (write(answer_fd, &code, sizeof(code)) < 0)
		_exit(1); /* nobody waits for it any more */
	_exit(0);
}

/* 1: a request and its pipe; 0: the daemon has ended. */
static int receive(int fd, struct request *ret, int *ret_answer)
{
	struct iovec v = {ret, sizeof(*ret)};
	union control control;
	struct msghdr m = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = CMSG_FIRSTHDR(&m);
	if (n != sizeof(*ret) || !c || c->cmsg_type != SCM_RIGHTS)
		return 0;
	memcpy(ret_answer, CMSG_DATA(c), sizeof(*ret_answer));
	ret->target[PATH_SIZE - 1] = ret->path[PATH_SIZE - 1] = '\0';
	return 1;
}

static void helper_main(int fd)
{
	const struct ovbd_confine_params nothing = {.no_filter = true};
	struct request rq;
	bool filtered;
	int answer;

	prctl(PR_SET_NAME, "ovbdd-tcmu");
	signal(SIGCHLD, SIG_IGN); /* no zombies */
	if (dup2(fd, 0) < 0 || close_range(1, UINT32_MAX, 0) < 0 ||
	    ovbd_confine(&nothing, &filtered, NULL) < 0)
		_exit(1);
	while (receive(0, &rq, &answer)) {
		const pid_t pid = fork();

		if (pid == 0) {
			close(0);
			work(&rq, answer);
		}
		close(answer); /* without a child: the asker reads no status */
	}
	_exit(0);
}

int ovbd_tcmu_helper_start(struct ovbd_error *err)
{
	int fds[2];
	pid_t pid;

	if (helper >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return ovbd_fail_errno(err, -errno, "TCMU's helper");
	pid = fork();
	if (pid == 0)
		helper_main(fds[1]);
	close(fds[1]);
	if (pid < 0) {
		const int r = -errno;

		close(fds[0]);
		return ovbd_fail_errno(err, r, "TCMU's helper");
	}
	helper = fds[0];
	return 0;
}

static int send_request(const struct request *rq, int answer_fd)
{
	struct request copy = *rq;
	struct iovec v = {&copy, sizeof(copy)};
	union control control = {{0}};
	struct msghdr m = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(answer_fd));
	memcpy(CMSG_DATA(c), &answer_fd, sizeof(answer_fd));
	do
		n = sendmsg(helper, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int ovbd_tcmu_helper_link(const char *target, const char *path, struct ovbd_error *err)
{
	struct request rq = {.path = ""};
	int fds[2], code = 0, r;
	AUTO_FD in = -1;
	ssize_t n;

	if (strlen(target) >= PATH_SIZE || strlen(path) >= PATH_SIZE)
		return ovbd_fail(err, -ENAMETOOLONG, "%s: too long", path);
	strcpy(rq.target, target);
	strcpy(rq.path, path);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return ovbd_fail_errno(err, -errno, "TCMU's helper");
	in = fds[0];
	r = send_request(&rq, fds[1]);
	close(fds[1]);
	if (r < 0)
		return ovbd_fail_errno(err, r, "asking ovbdd's helper (restart ovbdd)");
	do
		n = read(in, &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(code))
		return ovbd_fail(err, -EPIPE, "%s: ovbdd's helper has ended: restart ovbdd", path);
	return code == 0 ? 0 : ovbd_fail_errno(err, -code, "%s", path);
}
