// SPDX-License-Identifier: Apache-2.0
/*
 * Each request is one datagram, with a socket for the answer, and is done by a child of the helper,
 * so that one that takes long delays no other. A child that holds or claims a device keeps it until
 * the other end of its socket is closed. What it opened it closes before it answers, or ends: who
 * is told does not find it among the device's users. The helper keeps no privilege but those of
 * root over files, for configfs and block devices, and that to tell the kernel of NBD disks, if the
 * daemon has it; and nothing open but its socket: its end is the end of the daemon.
 */
#include "daemon/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/confine.h"
#include "daemon/nbd_netlink.h"
#include "daemon/transports.h"

#define PATH_SIZE 1024

enum what { LINK, UNLINK, WRITE, RESIZE_NBD, WRITE_BACK, HOLD, CLAIM };

struct request {
	enum what what;
	uint64_t number, size; /* RESIZE_NBD: of the disk */
	char target[PATH_SIZE], path[PATH_SIZE];
};

union control {
	char raw[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int helper = -1; /* set before there are threads */

/* 0 or an errno; *ret_kept: what is held, or -1. */
static int do_it(const struct request *rq, int *ret_kept)
{
	int fd, r = -1;

	*ret_kept = -1;
	errno = EINVAL;
	switch (rq->what) {
	case LINK:
		r = symlink(rq->target, rq->path);
		break;
	case UNLINK:
		r = unlink(rq->path);
		break;
	case WRITE:
		fd = open(rq->path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		r = write(fd, rq->target, strlen(rq->target)) < 0 ? errno : 0;
		close(fd);
		return r;
	case RESIZE_NBD: /* target: its backend */
		return -nbd_disk_resize((unsigned)rq->number, rq->target, rq->size, NULL);
	case WRITE_BACK:
		fd = open(rq->path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		r = fsync(fd) < 0 ? errno : 0;
		close(fd);
		return r;
	case HOLD:
		r = *ret_kept = open(rq->path, O_RDONLY | O_CLOEXEC);
		break;
	case CLAIM:
		r = *ret_kept = open(rq->path, O_RDONLY | O_EXCL | O_CLOEXEC);
		break;
	}
	return r < 0 ? errno : 0;
}

/* In a child. */
static void work(const struct request *rq, int answer_fd)
{
	int kept;
	const int code = do_it(rq, &kept);
	char c;

	if (send(answer_fd, &code, sizeof(code), MSG_NOSIGNAL) < 0)
		_exit(1); /* nobody waits for it any more */
	while (rq->what >= HOLD && code == 0 && read(answer_fd, &c, 1) < 0 && errno == EINTR)
		;
	if (kept >= 0)
		close(kept);
	_exit(0);
}

/* 1: a request and its socket; 0: the daemon has ended. */
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
	struct ovbd_confine_params keep = {.no_filter = true};
	unsigned calls;
	struct request rq;
	bool filtered;
	sigset_t all;
	int answer;

	prctl(PR_SET_NAME, "ovbdd-helper");
	sigfillset(&all); /* a terminal's are for all its processes */
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_IGN); /* no zombies */
	ovbd_transport_kinds_needs(&keep.caps, &calls);
	keep.caps = (keep.caps & OVBD_CAP(SYS_ADMIN)) | OVBD_CAP(DAC_OVERRIDE);
	if (dup2(fd, 0) < 0 || close_range(1, UINT32_MAX, 0) < 0 ||
	    ovbd_confine(&keep, &filtered, NULL) < 0)
		_exit(1);
	while (receive(0, &rq, &answer)) {
		const pid_t pid = fork();

		if (pid == 0) {
			close(0);
			work(&rq, answer);
		}
		close(answer); /* without a child: the asker reads no code */
	}
	_exit(0);
}

int ovbd_helper_start(struct ovbd_error *err)
{
	int fds[2];
	pid_t pid;

	if (helper >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return ovbd_fail_errno(err, -errno, "starting a helper process");
	pid = fork();
	if (pid == 0)
		helper_main(fds[1]);
	close(fds[1]);
	if (pid < 0) {
		const int r = -errno;

		close(fds[0]);
		return ovbd_fail_errno(err, r, "starting a helper process");
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

/* *ret_fd: the socket, if it was done; NULL: it is not needed. timeout_ms -1: none. */
static int ask_for(const struct request *rq, int timeout_ms, int *ret_fd, struct ovbd_error *err)
{
	const char *path = rq->path;
	int fds[2], code = 0, r;
	AUTO_FD in = -1;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return ovbd_fail_errno(err, -errno, "asking the helper process");
	in = fds[0];
	r = send_request(rq, fds[1]);
	close(fds[1]);
	if (r < 0)
		return ovbd_fail_errno(err, r, "asking the helper process (restart ovbdd)");
	if (poll(&(struct pollfd){.fd = in, .events = POLLIN}, 1, timeout_ms) == 0)
		return ovbd_fail(err, -ETIMEDOUT, "%s: the kernel takes its time", path);
	do
		n = read(in, &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(code))
		return ovbd_fail(err, -EPIPE, "%s: the helper process has ended: restart ovbdd",
		                 path);
	if (code != 0)
		return ovbd_fail_errno(err, -code, "%s", path);
	if (ret_fd) {
		*ret_fd = in;
		in = -1;
	}
	return 0;
}

static int ask(enum what what, const char *target, const char *path, int timeout_ms, int *ret_fd,
               struct ovbd_error *err)
{
	struct request rq = {.what = what};

	if (strlen(target) >= PATH_SIZE || strlen(path) >= PATH_SIZE)
		return ovbd_fail(err, -ENAMETOOLONG, "%s: too long", path);
	strcpy(rq.target, target);
	strcpy(rq.path, path);
	return ask_for(&rq, timeout_ms, ret_fd, err);
}

int ovbd_helper_link(const char *target, const char *path, struct ovbd_error *err)
{
	return ask(target[0] ? LINK : UNLINK, target, path, -1, NULL, err);
}

int ovbd_helper_write(const char *path, const char *text, unsigned timeout_ms,
                      struct ovbd_error *err)
{
	return ask(WRITE, text, path, (int)timeout_ms, NULL, err);
}

int ovbd_helper_resize_nbd(unsigned n, const char *backend, uint64_t size, unsigned timeout_ms,
                           struct ovbd_error *err)
{
	struct request rq = {.what = RESIZE_NBD, .number = n, .size = size};

	snprintf(rq.path, sizeof(rq.path), "/dev/nbd%u: its new size", n);
	if (strlen(backend) >= PATH_SIZE)
		return ovbd_fail(err, -ENAMETOOLONG, "%s: too long", backend);
	strcpy(rq.target, backend);
	return ask_for(&rq, (int)timeout_ms, NULL, err);
}

int ovbd_helper_write_back(const char *path, struct ovbd_error *err)
{
	return ask(WRITE_BACK, "", path, -1, NULL, err);
}

int ovbd_helper_hold(const char *path, int *ret_hold, struct ovbd_error *err)
{
	return ask(HOLD, "", path, -1, ret_hold, err);
}

int ovbd_helper_claim(const char *path, int *ret_claim, struct ovbd_error *err)
{
	return ask(CLAIM, "", path, -1, ret_claim, err);
}

void ovbd_helper_release(int take_hold)
{
	AUTO_FD fd = take_hold;
	char c;

	if (fd < 0)
		return;
	shutdown(fd, SHUT_WR);
	while (read(fd, &c, 1) < 0 && errno == EINTR) /* until it has ended */
		;
}
