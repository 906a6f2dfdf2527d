// SPDX-License-Identifier: Apache-2.0
/* A layer (oci/tar_layer.h) of a tar: of a file, or through a pipe; it becomes a file. */
#include "tools/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "oci/tar_layer.h"
#include "tools/convert_impl.h"

struct making {
	const struct ovbd_apply *a;
	struct ovbd_convert_work w;
	int fd;
	uint64_t done, total; /* bytes; total 0: unknown */
	EVP_MD_CTX *md;       /* of the tar as it is */
	struct ovbd_apply_done *ret;
};

static void close_making(struct making *m)
{
	ovbd_layer_writer_close(m->w.writer);
	if (m->fd > 0)
		close(m->fd);
	EVP_MD_CTX_free(m->md);
}

static bool is_stopped(const struct making *m)
{
	const struct ovbd_convert *c = &m->a->out;

	return c->progress && c->progress(c->arg, m->done, m->total) != 0;
}

static ssize_t read_tar(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;
	ssize_t n;

	do
		n = read(m->fd, buf, len);
	while (n < 0 && errno == EINTR && !is_stopped(m));
	if (n < 0 && errno == EINTR)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	if (n < 0)
		return ovbd_fail_errno(err, -errno, "reading");
	m->done += (uint64_t)n;
	if (is_stopped(m))
		return ovbd_fail(err, -ECANCELED, "interrupted");
	return EVP_DigestUpdate(m->md, buf, (size_t)n) == 1
	               ? n
	               : ovbd_fail(err, -ENOMEM, "out of memory for a digest");
}

static int open_tar(struct making *m, struct ovbd_error *err)
{
	struct stat st;

	if (strcmp(m->a->tar, "-") != 0) {
		m->fd = open(m->a->tar, O_RDONLY | O_CLOEXEC);
		if (m->fd < 0)
			return ovbd_fail_errno(err, -errno, "%s", m->a->tar);
	}
	if (fstat(m->fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", m->a->tar);
	if (S_ISREG(st.st_mode))
		m->total = (uint64_t)st.st_size;
	if (S_ISDIR(st.st_mode))
		return ovbd_fail(err, -EISDIR, "%s: is a directory, not a tar", m->a->tar);
	m->md = EVP_MD_CTX_new();
	if (!m->md || EVP_DigestInit_ex(m->md, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return 0;
}

static void digest_text(EVP_MD_CTX *md, char ret[OVBD_APPLY_DIGEST_SIZE])
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int at = sprintf(ret, "sha256:");

	if (EVP_DigestFinal_ex(md, raw, &n) != 1)
		n = 0;
	for (unsigned i = 0; i < n && i < 32; i++)
		at += snprintf(ret + at, 3, "%02x", raw[i]);
}

/* Whatever follows the end of the archive has been read too, so the digests are of all of it. */
static int check_tar(void *arg, const char *diff_id, struct ovbd_error *err)
{
	struct making *m = arg;
	struct ovbd_apply_done *ret = m->ret;

	digest_text(m->md, ret->digest);
	snprintf(ret->diff_id, sizeof(ret->diff_id), "%s", diff_id[0] ? diff_id : ret->digest);
	ret->tar_size = m->done;
	if (m->a->digest && strcasecmp(m->a->digest, ret->digest) != 0)
		return ovbd_fail(err, -EBADMSG, "its digest is %s, not %s", ret->digest,
		                 m->a->digest);
	return 0;
}

static int open_chain(void *arg, struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct making *m = arg;

	return ovbd_convert_chain(&m->w, ret, err);
}

int ovbd_apply_run(const struct ovbd_apply *a, struct ovbd_apply_done *ret, struct ovbd_error *err)
{
	OVBD_AUTO(close_making) struct making m = {.a = a, .w.c = &a->out, .ret = ret};
	const struct ovbd_tar_layer_params p = {
		.name = a->tar,
		.read = read_tar,
		.open = open_chain,
		.check = check_tar,
		.arg = &m,
		.below = a->out.base,
		.fs_size = a->fs_size,
		.now = a->now,
		.uuid = a->out.uuid,
		.parent_uuid = a->out.parent_uuid,
		.tag = a->out.tag,
	};
	struct ovbd_tar_layer_done done;
	bool local;
	int r;

	*ret = (struct ovbd_apply_done){0};
	r = open_tar(&m, err);
	if (r == 0)
		r = ovbd_tar_layer_make(&p, &done, &local, err);
	if (r < 0)
		return r;
	m.w.writer = done.writer;
	ret->applied = done.applied;
	ret->compression = done.compression;
	ret->fs_size = done.device_size;
	ret->converted = (struct ovbd_converted){
		.raw_size = m.w.zfile ? m.w.zfile->written : m.w.file->written,
		.stored_size = m.w.file->written,
		.data_size = done.data_size,
		.nsegments = ovbd_layer_writer_nsegments(done.writer),
		.nlarge = m.w.zfile ? ovbd_zfile_sink_nlarge(m.w.zfile) : 0,
	};
	return 0;
}
