// SPDX-License-Identifier: Apache-2.0
#include "tools/tar_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ovbd_tar_file {
	ovbd_progress_fn progress;
	void *arg;
	int fd;
	uint64_t done, total; /* bytes; total 0: unknown */
	EVP_MD_CTX *md;
};

void ovbd_tar_file_close(struct ovbd_tar_file *t)
{
	if (!t)
		return;
	if (t->fd > 0)
		close(t->fd);
	EVP_MD_CTX_free(t->md);
	free(t);
}

static bool is_stopped(const struct ovbd_tar_file *t)
{
	return t->progress && t->progress(t->arg, t->done, t->total) != 0;
}

ssize_t ovbd_tar_file_read(void *file, void *buf, size_t len, struct ovbd_error *err)
{
	struct ovbd_tar_file *t = file;
	ssize_t n;

	do
		n = read(t->fd, buf, len);
	while (n < 0 && errno == EINTR && !is_stopped(t));
	if (n < 0 && errno == EINTR)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	if (n < 0)
		return ovbd_fail_errno(err, -errno, "reading");
	t->done += (uint64_t)n;
	if (is_stopped(t))
		return ovbd_fail(err, -ECANCELED, "interrupted");
	return EVP_DigestUpdate(t->md, buf, (size_t)n) == 1
	               ? n
	               : ovbd_fail(err, -ENOMEM, "out of memory for a digest");
}

int ovbd_tar_file_open(const char *path, ovbd_progress_fn progress, void *arg,
                       struct ovbd_tar_file **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_tar_file_closep) struct ovbd_tar_file *t = calloc(1, sizeof(*t));
	struct stat st;

	if (!t)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->progress = progress;
	t->arg = arg;
	if (strcmp(path, "-") != 0) {
		t->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (t->fd < 0)
			return ovbd_fail_errno(err, -errno, "%s", path);
	}
	if (fstat(t->fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (S_ISREG(st.st_mode))
		t->total = (uint64_t)st.st_size;
	if (S_ISDIR(st.st_mode))
		return ovbd_fail(err, -EISDIR, "%s: is a directory, not a tar", path);
	t->md = EVP_MD_CTX_new();
	if (!t->md || EVP_DigestInit_ex(t->md, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	*ret = OVBD_MOVE(t);
	return 0;
}

uint64_t ovbd_tar_file_done(const struct ovbd_tar_file *t)
{
	return t->done;
}

void ovbd_tar_file_digest(struct ovbd_tar_file *t, char ret[OVBD_DIGEST_TEXT_SIZE])
{
	ovbd_digest_text(t->md, ret);
}

void ovbd_digest_text(EVP_MD_CTX *md, char ret[OVBD_DIGEST_TEXT_SIZE])
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int at = sprintf(ret, "sha256:");

	if (EVP_DigestFinal_ex(md, raw, &n) != 1)
		n = 0;
	for (unsigned i = 0; i < n && i < 32; i++)
		at += snprintf(ret + at, 3, "%02x", raw[i]);
}
