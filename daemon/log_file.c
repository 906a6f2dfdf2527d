// SPDX-License-Identifier: Apache-2.0
/*
 * One lock, and one write() a line. When a line would make the file too large, the files are
 * renamed, oldest first, and a new one is opened; until that has succeeded lines go to the old one,
 * wherever it is now. Another process may write to the same file, such as the one that is being
 * replaced: who finds that the path leads to another file than his has been overtaken, and just
 * opens it.
 */
#include "daemon/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/auto.h"

struct ovbd_log_file {
	char *path;
	uint64_t size_max;
	unsigned nold;
	pthread_mutex_t lock; /* guards what follows */
	int fd;
	uint64_t size;
	uint64_t nlost; /* lines, since one was written */
	int lost_code;
};

static char *old_name(const char *path, unsigned n)
{
	char *name;

	if (n == 0)
		return strdup(path);
	return asprintf(&name, "%s.%u", path, n) < 0 ? NULL : name;
}

static int open_path(struct ovbd_log_file *f)
{
	const int fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	f->size = fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
	return 0;
}

/* Whether the path still leads to the file that is written to. */
static bool is_in_place(const struct ovbd_log_file *f)
{
	struct stat here, there;

	return fstat(f->fd, &here) == 0 && stat(f->path, &there) == 0 &&
	       here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* The first number without a file, or that of the oldest file there may be. */
static unsigned first_free(const struct ovbd_log_file *f)
{
	unsigned n = 1;

	for (; n < f->nold; n++) {
		AUTO_FREE char *name = old_name(f->path, n);

		if (name && access(name, F_OK) < 0)
			break;
	}
	return n;
}

/* A failure leaves a name where it is; nothing is lost by it but, at worst, the oldest file. */
static void shift(const struct ovbd_log_file *f)
{
	if (f->nold == 0) {
		unlink(f->path);
		return;
	}
	for (unsigned n = first_free(f); n > 0; n--) {
		AUTO_FREE char *from = old_name(f->path, n - 1), *to = old_name(f->path, n);

		if (from && to)
			rename(from, to);
	}
}

/* The lock keeps two processes from renaming the same files at once. It is not waited for: anybody
 * who may read the file can hold it. Then lines go on where they went. */
static void rotate(struct ovbd_log_file *f)
{
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (is_in_place(f))
		shift(f);
	if (open_path(f) < 0) {
		flock(f->fd, LOCK_UN);
		f->size = 0; /* not again before it has grown as much */
	}
}

static void write_line(struct ovbd_log_file *f, const char *line, size_t len)
{
	ssize_t n;

	if (f->size_max > 0 && f->size > 0 && f->size + len > f->size_max)
		rotate(f);
	n = write(f->fd, line, len);
	if (n < 0) {
		f->nlost++;
		f->lost_code = errno;
		return;
	}
	f->size += (size_t)n;
	if ((size_t)n < len) { /* the disk is full; not a line to be continued by the next */
		f->nlost++;
		f->lost_code = ENOSPC;
		if (ftruncate(f->fd, (off_t)(f->size - (size_t)n)) == 0)
			f->size -= (size_t)n;
	}
}

static void tell_lost(struct ovbd_log_file *f)
{
	const uint64_t n = f->nlost;
	const time_t now = time(NULL);
	char line[160], when[32];
	struct tm tm;
	int len;

	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	len = snprintf(line, sizeof(line), "%s warning: %llu lines could not be written: %s\n",
	               when, (unsigned long long)n, strerrordesc_np(f->lost_code));
	f->nlost = 0;
	write_line(f, line, (size_t)len);
	if (f->nlost)
		f->nlost = n;
}

void ovbd_log_file_write(struct ovbd_log_file *f, const char *line, size_t len)
{
	pthread_mutex_lock(&f->lock);
	if (f->nlost)
		tell_lost(f);
	if (f->nlost)
		f->nlost++;
	else
		write_line(f, line, len);
	pthread_mutex_unlock(&f->lock);
}

int ovbd_log_file_reopen(struct ovbd_log_file *f, struct ovbd_error *err)
{
	int r;

	pthread_mutex_lock(&f->lock);
	r = is_in_place(f) ? 0 : open_path(f);
	pthread_mutex_unlock(&f->lock);
	return r < 0 ? ovbd_fail_errno(err, r, "%s: opening it again", f->path) : 0;
}

int ovbd_log_file_open(const struct ovbd_log_file_params *p, struct ovbd_log_file **ret,
                       struct ovbd_error *err)
{
	struct ovbd_log_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*f = (struct ovbd_log_file){.size_max = p->size_max,
	                            .nold = p->nold,
	                            .fd = -1,
	                            .path = strdup(p->path)};
	pthread_mutex_init(&f->lock, NULL);
	r = f->path ? open_path(f) : -ENOMEM;
	if (r < 0) {
		ovbd_log_file_close(f);
		return ovbd_fail_errno(err, r, "%s: opening it for writing", p->path);
	}
	*ret = f;
	return 0;
}

void ovbd_log_file_close(struct ovbd_log_file *take_f)
{
	if (!take_f)
		return;
	if (take_f->fd >= 0)
		close(take_f->fd);
	pthread_mutex_destroy(&take_f->lock);
	free(take_f->path);
	free(take_f);
}
