// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"
#include "tools/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tools/interrupt.h"

#define CHUNK (1u << 20)
#define BLOCK 4096u

/* A file that has no name, or loses it at once. */
static int open_unnamed(const char *dir, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return ovbd_fail_errno(err, -errno, "cannot create a temporary file in %s", dir);
	if (asprintf(&path, "%s/.ovbd.XXXXXX", dir) < 0) {
		path = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "cannot create a temporary file in %s", dir);
	unlink(path);
	return fd;
}

/* Fills buf up to len or the end of standard input. The bytes read, or -errno. */
static ssize_t read_full(uint8_t *buf, size_t len, struct ovbd_error *err)
{
	size_t n = 0;

	while (n < len) {
		const ssize_t got = read(STDIN_FILENO, buf + n, len - n);

		if (ovbd_interrupted())
			return ovbd_fail(err, -ECANCELED, "interrupted");
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ovbd_fail_errno(err, -errno, "standard input: read");
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

/* Writes what is not zero, in as few pieces as there are gaps. */
static int write_sparse(int fd, const uint8_t *buf, size_t len, uint64_t off)
{
	size_t start = 0, at = 0;
	int r = 0;

	while (r == 0 && at < len) {
		const size_t n = (size_t)ovbd_min(BLOCK, len - at);

		if (ovbd_is_zero(buf + at, n)) {
			r = ovbd_fd_pwrite(fd, buf + start, at - start, off + start);
			start = at + n;
		}
		at += n;
	}
	return r < 0 ? r : ovbd_fd_pwrite(fd, buf + start, at - start, off + start);
}

int ovbd_spool_stdin(const char *dir, struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	AUTO_FD fd = open_unnamed(dir, err);
	uint64_t size = 0;
	ssize_t n;
	int r, moved;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (fd < 0)
		return fd;
	do {
		n = read_full(buf, CHUNK, err);
		if (n < 0)
			return (int)n;
		r = write_sparse(fd, buf, (size_t)n, size);
		if (r < 0)
			return ovbd_fail_errno(err, r, "temporary file for standard input in %s",
			                       dir);
		size += (uint64_t)n;
	} while (n == CHUNK);
	if (ftruncate(fd, (off_t)size) < 0)
		return ovbd_fail_errno(err, -errno, "temporary file for standard input in %s", dir);
	moved = fd;
	fd = -1;
	return ovbd_blob_open_fd(moved, "standard input", ret, err);
}

static int stdout_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	const uint8_t *p = buf;

	(void)s;
	while (len > 0) {
		const ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR && !ovbd_interrupted())
			continue;
		if (n < 0)
			return ovbd_fail_errno(err, -errno, "standard output: write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int stdout_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	(void)s;
	(void)err;
	return 0;
}

static void stdout_close(struct ovbd_sink *s)
{
	free(s);
}

static const struct ovbd_sink_ops stdout_ops = {
	.name = "pipe",
	.append = stdout_append,
	.finish = stdout_finish,
	.close = stdout_close,
};

int ovbd_sink_create_stdout(struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct ovbd_sink *s = calloc(1, sizeof(*s));

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->ops = &stdout_ops;
	*ret = s;
	return 0;
}
