// SPDX-License-Identifier: Apache-2.0
/*
 * Who may mount, mounts: open /dev/fuse, hand the descriptor to mount(2). Everybody else asks
 * fusermount3, which is setuid root: it does the same two steps and sends the descriptor back over
 * a socket whose number it finds in its environment.
 *
 * libfuse could do this too, but it writes what went wrong on stderr, and at the end unmounts by
 * name, not knowing that the mount was taken away before and the name may be somebody else's now.
 */
#include "daemon/fuse_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/auto.h"
#include "daemon/mountinfo.h"

#define HELPER    "fusermount3"
#define HELPER_FD 3 /* its end of the socket */

extern char **environ;

static int open_device(int *ret_fd, struct ovbd_error *err)
{
	const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return ovbd_fail_errno(
			err, -errno,
			"/dev/fuse is not there: load the module (modprobe fuse), or "
			"give the container the device (--device /dev/fuse)");
	if (errno == EACCES || errno == EPERM)
		return ovbd_fail_errno(err, -errno,
		                       "/dev/fuse may not be opened: run as root, or let this user "
		                       "read and write it (in a container: --device /dev/fuse)");
	return ovbd_fail_errno(err, -errno, "/dev/fuse");
}

/* Starts the helper with its stderr on err_fd, and comm_fd (or -1) as its socket. */
static int helper_start(const char *const *argv, int err_fd, int comm_fd, pid_t *ret_pid)
{
	static char comm[] = "_FUSE_COMMFD=3";
	AUTO_FREE char **envp = NULL;
	posix_spawn_file_actions_t actions;
	size_t n = 0;
	int r;

	_Static_assert(HELPER_FD == 3, "the number in comm");
	while (environ[n])
		n++;
	envp = calloc(n + 2, sizeof(*envp));
	if (!envp)
		return -ENOMEM;
	envp[0] = comm;
	memcpy(envp + 1, environ, n * sizeof(*envp));

	r = -posix_spawn_file_actions_init(&actions);
	if (r < 0)
		return r;
	r = -posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
	if (r == 0 && comm_fd >= 0)
		r = -posix_spawn_file_actions_adddup2(&actions, comm_fd, HELPER_FD);
	if (r == 0) /* execve() takes the words as they are; its prototype is older than const */
		r = -posix_spawnp(ret_pid, HELPER, &actions, NULL, (char *const *)(uintptr_t)argv,
		                  envp);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* What the helper says, to its end, without the line ends. */
static void read_words(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		char more[256];

		n = read(fd, more, sizeof(more));
		for (ssize_t i = 0; i < n && len + 1 < size; i++)
			buf[len++] = more[i] == '\n' ? ' ' : more[i];
	} while (n > 0 || (n < 0 && errno == EINTR));
	while (len > 0 && buf[len - 1] == ' ')
		len--;
	buf[len] = '\0';
}

/* Runs the helper to its end. -EPERM if it refuses. */
static int helper_run(const char *const *argv, int comm_fd, struct ovbd_error *err)
{
	char words[256];
	int ends[2], status, r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return ovbd_fail_errno(err, -errno, "pipe");
	r = helper_start(argv, ends[1], comm_fd, &pid);
	close(ends[1]);
	if (r == 0)
		read_words(ends[0], words, sizeof(words));
	close(ends[0]);
	if (r < 0)
		return ovbd_fail_errno(err, r, "starting " HELPER " (Debian package fuse3)");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ovbd_fail_errno(err, -errno, "waiting for " HELPER);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return ovbd_fail(err, -EPERM, "%s", words[0] ? words : HELPER " failed");
	return 0;
}

/* The descriptor that the helper sent, if it sent one. */
static int receive_fd(int sock, int *ret_fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	const struct cmsghdr *c;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return 0;
}

static int mount_by_helper(const char *path, bool writable, bool allow_other, int *ret_fd,
                           struct ovbd_error *err)
{
	char options[128];
	const char *const argv[] = {HELPER, "-o", options, "--", path, NULL};
	int socks[2], r;

	snprintf(options, sizeof(options),
	         "%s,nosuid,nodev,default_permissions,max_read=%u,fsname=ovbd,subtype=ovbd%s",
	         writable ? "rw" : "ro", OVBD_FUSE_MAX_READ, allow_other ? ",allow_other" : "");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		return ovbd_fail_errno(err, -errno, "socketpair");
	r = helper_run(argv, socks[1], err);
	close(socks[1]);
	if (r == 0) {
		r = receive_fd(socks[0], ret_fd);
		if (r < 0)
			ovbd_fail_errno(err, r, HELPER " sent no descriptor");
	}
	close(socks[0]);
	return r;
}

static int mount_anyhow(const char *path, bool writable, bool allow_other, int *ret_fd,
                        struct ovbd_error *err)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | (writable ? 0 : MS_RDONLY);
	AUTO_FD fd = -1;
	char data[160];
	int r = open_device(&fd, err);

	if (r < 0)
		return r;
	snprintf(data, sizeof(data),
	         "fd=%d,rootmode=100000,user_id=%u,group_id=%u,default_permissions,max_read=%u%s",
	         fd, getuid(), getgid(), OVBD_FUSE_MAX_READ, allow_other ? ",allow_other" : "");
	if (mount("ovbd", path, OVBD_FUSE_TYPE, flags, data) == 0) {
		*ret_fd = fd;
		fd = -1;
		return 0;
	}
	if (errno != EPERM)
		return ovbd_fail_errno(err, -errno, "%s: mount", path);
	if (geteuid() == 0) /* the helper could no more */
		return ovbd_fail(err, -EPERM,
		                 "%s: mount: root may not mount here: give the container the right "
		                 "to (--cap-add SYS_ADMIN)",
		                 path);
	r = mount_by_helper(path, writable, allow_other, ret_fd, err);
	return r < 0 ? ovbd_fail_within(err, r, "%s: mount", path) : 0;
}

int ovbd_fuse_mount(const char *path, bool writable, bool allow_other, struct ovbd_fuse_mount *ret,
                    struct ovbd_error *err)
{
	AUTO_FREE char *line = NULL;
	struct ovbd_mount m;
	int fd = -1, r;

	r = mount_anyhow(path, writable, allow_other, &fd, err);
	if (r < 0)
		return r;
	r = ovbd_mountinfo_find(path, &m, &line, err);
	if (r <= 0) {
		close(fd);
		return r < 0 ? r : ovbd_fail(err, -EIO, "%s: mounted, but not to be found", path);
	}
	*ret = (struct ovbd_fuse_mount){.id = m.id, .fd = fd};
	return 0;
}

int ovbd_fuse_unmount(const char *path, uint64_t id, struct ovbd_error *err)
{
	const char *const argv[] = {HELPER, "-u", "-z", "--", path, NULL};
	AUTO_FREE char *line = NULL;
	struct ovbd_mount m;
	int r;

	r = ovbd_mountinfo_find(path, &m, &line, err);
	if (r <= 0)
		return r;
	if (m.id != id)
		return ovbd_fail(err, -EBUSY, "%s: unmount: %s (%s) is mounted there now", path,
		                 m.source, m.fs_type);
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL)
		return 0; /* EINVAL: it has gone just now */
	if (errno != EPERM)
		return ovbd_fail_errno(err, -errno, "%s: unmount", path);
	r = helper_run(argv, -1, err);
	return r < 0 ? ovbd_fail_within(err, r, "%s: unmount", path) : 0;
}
