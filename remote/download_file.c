// SPDX-License-Identifier: Apache-2.0
/*
 * The file is written from its beginning to its end, so that its size says how much is there. What
 * a power cut took from that, or another program has left (the original makes the file as large as
 * it will be, and fills holes), is found by the digest: then it is fetched anew.
 *
 * Who writes holds a lock on the file, which ends with the process. A file that has been renamed or
 * removed meanwhile is not the one that the next one would lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "remote/download_impl.h"

#define PIECE (1u << 20)

static int is_there(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* False: another process has it. */
static bool lock(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

/* Whether .download is still what fd is. */
static bool is_same(const struct download_file *f)
{
	struct stat a, b;

	return fstat(f->fd, &a) == 0 &&
	       fstatat(f->dir_fd, DOWNLOAD_PART, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_files(struct download_file *f, const char *dir, struct ovbd_error *err)
{
	f->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir_fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", dir);
	if (is_there(f->dir_fd, DOWNLOAD_COMMIT))
		return 1;
	f->fd = openat(f->dir_fd, DOWNLOAD_PART, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (f->fd < 0)
		return ovbd_fail_errno(err, -errno, "%s/" DOWNLOAD_PART, dir);
	if (!lock(f->fd) || !is_same(f))
		return ovbd_fail(err, -EBUSY,
		                 "%s/" DOWNLOAD_PART ": another process is fetching it", dir);
	return is_there(f->dir_fd, DOWNLOAD_COMMIT); /* it was renamed before we had it */
}

/* The digest of what is there already. */
static int read_part(struct download_file *f, uint64_t len, download_stop_fn stop, void *arg,
                     struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(PIECE);

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (f->have < len) {
		const size_t n = (size_t)ovbd_min(PIECE, len - f->have);
		const ssize_t got = pread(f->fd, buf, n, (off_t)f->have);
		const int r = stop(arg);

		if (r < 0)
			return ovbd_fail(err, r, "interrupted");
		if (got < 0)
			return ovbd_fail_errno(err, -errno, DOWNLOAD_PART ": read");
		if (got == 0 || EVP_DigestUpdate(f->md, buf, (size_t)got) != 1)
			return ovbd_fail(err, -EIO, DOWNLOAD_PART ": cannot be read");
		f->have += (uint64_t)got;
	}
	return 0;
}

int download_file_restart(struct download_file *f, struct ovbd_error *err)
{
	f->have = 0;
	f->resumed = false;
	if (ftruncate(f->fd, 0) < 0)
		return ovbd_fail_errno(err, -errno, DOWNLOAD_PART ": truncate");
	if (EVP_DigestInit_ex(f->md, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return 0;
}

int download_file_open(struct download_file *f, const char *dir, uint64_t size,
                       download_stop_fn stop, void *arg, struct ovbd_error *err)
{
	struct stat st;
	int r;

	*f = (struct download_file){.dir_fd = -1, .fd = -1, .size = size, .md = EVP_MD_CTX_new()};
	if (!f->md || EVP_DigestInit_ex(f->md, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	r = open_files(f, dir, err);
	if (r != 0)
		return r;
	if (fstat(f->fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s/" DOWNLOAD_PART, dir);
	if ((uint64_t)st.st_size > size)
		return download_file_restart(f, err);
	f->resumed = st.st_size > 0;
	return read_part(f, (uint64_t)st.st_size, stop, arg, err);
}

int download_file_append(struct download_file *f, const void *buf, size_t len,
                         struct ovbd_error *err)
{
	const uint8_t *p = buf;

	if (EVP_DigestUpdate(f->md, buf, len) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	while (len > 0) {
		const ssize_t n = pwrite(f->fd, p, len, (off_t)f->have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ovbd_fail_errno(err, -errno, DOWNLOAD_PART ": write");
		p += n;
		f->have += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int check_digest(EVP_MD_CTX *md, const char *digest, struct ovbd_error *err)
{
	char has[2 * EVP_MAX_MD_SIZE + 1] = "";
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_DigestFinal_ex(md, raw, &n) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	for (unsigned i = 0; i < n; i++)
		snprintf(has + 2 * (size_t)i, 3, "%02x", raw[i]);
	if (strcasecmp(has, digest + strlen("sha256:")) == 0)
		return 0;
	return ovbd_fail(err, -EBADMSG, "its digest is sha256:%s, not %s", has, digest);
}

int download_file_finish(struct download_file *f, const char *digest, struct ovbd_error *err)
{
	const int r = check_digest(f->md, digest, err);

	if (r < 0)
		return r;
	if (fsync(f->fd) < 0)
		return ovbd_fail_errno(err, -errno, DOWNLOAD_PART ": sync");
	if (renameat(f->dir_fd, DOWNLOAD_PART, f->dir_fd, DOWNLOAD_COMMIT) < 0)
		return ovbd_fail_errno(err, -errno, DOWNLOAD_PART ": rename");
	if (fsync(f->dir_fd) < 0 && errno != EINVAL)
		return ovbd_fail_errno(err, -errno, DOWNLOAD_COMMIT ": sync");
	return 0;
}

void download_file_remove(struct download_file *f)
{
	if (f->fd >= 0 && is_same(f))
		unlinkat(f->dir_fd, DOWNLOAD_PART, 0);
}

void download_file_close(struct download_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->dir_fd >= 0)
		close(f->dir_fd);
	EVP_MD_CTX_free(f->md);
}

/* What others have completed is held against the digest as well. */
static int check_blob(struct ovbd_blob *b, const char *digest, download_stop_fn stop, void *arg,
                      struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(PIECE);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int r = 0;

	if (!buf || !md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		r = ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	for (uint64_t off = 0; r == 0 && off < b->size; off += PIECE) {
		const size_t n = (size_t)ovbd_min(PIECE, b->size - off);

		r = stop(arg);
		if (r < 0)
			ovbd_fail(err, r, "interrupted");
		else
			r = ovbd_blob_pread(b, buf, n, off, err);
		if (r == 0 && EVP_DigestUpdate(md, buf, n) != 1)
			r = ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	}
	if (r == 0)
		r = check_digest(md, digest, err);
	EVP_MD_CTX_free(md);
	return r;
}

int download_commit_open(const char *dir, uint64_t size, const char *digest, bool check,
                         download_stop_fn stop, void *arg, struct ovbd_blob **ret,
                         struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_BLOB *b = NULL;
	int r;

	if (asprintf(&path, "%s/" DOWNLOAD_COMMIT, dir) < 0) {
		path = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	r = ovbd_blob_open_file(path, &b, err);
	if (r < 0)
		return r;
	if (b->size != size)
		return ovbd_fail(err, -EBADMSG, "%s: is %llu bytes, not %llu", path,
		                 (unsigned long long)b->size, (unsigned long long)size);
	if (check)
		r = check_blob(b, digest, stop, arg, err);
	if (r < 0)
		return ovbd_fail_named(err, r, path);
	*ret = OVBD_MOVE(b);
	return 0;
}
