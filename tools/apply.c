// SPDX-License-Identifier: Apache-2.0
/*
 * A tar becomes a layer in one pass:
 *
 *     tar ─► digest ─► unpack ─► digest ─► fs ─► layer writer ─► [zfile] ─► [tar] ─► file
 *
 * The device is the size of what lies beneath, or of the new file system.
 */
#include "tools/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "fs/unpack.h"
#include "tools/convert_impl.h"

struct stream {
	const struct ovbd_apply *a;
	int fd;
	uint64_t done, total; /* bytes; total 0: unknown */
	EVP_MD_CTX *packed, *unpacked;
	struct ovbd_fs_unpack *unpack;
};

static void close_stream(struct stream *s)
{
	if (s->fd > 0)
		close(s->fd);
	EVP_MD_CTX_free(s->packed);
	EVP_MD_CTX_free(s->unpacked);
	ovbd_fs_unpack_close(s->unpack);
}

/* ---- the tar ---- */

static bool is_stopped(struct stream *s)
{
	return s->a->out.progress && s->a->out.progress(s->a->out.arg, s->done, s->total) != 0;
}

static ssize_t read_packed(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct stream *s = arg;
	ssize_t n;

	do
		n = read(s->fd, buf, len);
	while (n < 0 && errno == EINTR && !is_stopped(s));
	if (n < 0 && errno == EINTR)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	if (n < 0)
		return ovbd_fail_errno(err, -errno, "reading");
	s->done += (uint64_t)n;
	if (is_stopped(s))
		return ovbd_fail(err, -ECANCELED, "interrupted");
	return EVP_DigestUpdate(s->packed, buf, (size_t)n) == 1
	               ? n
	               : ovbd_fail(err, -ENOMEM, "out of memory for a digest");
}

/* Otherwise both digests are the same. */
static bool is_packed(const struct stream *s)
{
	return strcmp(ovbd_fs_unpack_name(s->unpack), "none") != 0;
}

static ssize_t read_unpacked(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct stream *s = arg;
	const ssize_t n = ovbd_fs_unpack_read(s->unpack, buf, len, err);

	if (n > 0 && is_packed(s) && EVP_DigestUpdate(s->unpacked, buf, (size_t)n) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return n;
}

static int open_stream(struct stream *s, struct ovbd_error *err)
{
	struct stat st;

	if (strcmp(s->a->tar, "-") != 0) {
		s->fd = open(s->a->tar, O_RDONLY | O_CLOEXEC);
		if (s->fd < 0)
			return ovbd_fail_errno(err, -errno, "%s", s->a->tar);
	}
	if (fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode))
		s->total = (uint64_t)st.st_size;
	if (S_ISDIR(st.st_mode))
		return ovbd_fail(err, -EISDIR, "%s: is a directory, not a tar", s->a->tar);
	s->packed = EVP_MD_CTX_new();
	s->unpacked = EVP_MD_CTX_new();
	if (!s->packed || !s->unpacked || EVP_DigestInit_ex(s->packed, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestInit_ex(s->unpacked, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return ovbd_fs_unpack_open(read_packed, s, &s->unpack, err);
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

/* Whatever follows the end of the archive has been read too, so this is of all of it. */
static int take_digests(struct stream *s, struct ovbd_apply_done *ret, struct ovbd_error *err)
{
	digest_text(s->packed, ret->digest);
	if (is_packed(s))
		digest_text(s->unpacked, ret->diff_id);
	else
		memcpy(ret->diff_id, ret->digest, sizeof(ret->diff_id));
	ret->compression = ovbd_fs_unpack_name(s->unpack);
	ret->tar_size = s->done;
	if (s->a->digest && strcasecmp(s->a->digest, ret->digest) != 0)
		return ovbd_fail(err, -EBADMSG, "its digest is %s, not %s", ret->digest,
		                 s->a->digest);
	return 0;
}

/* ---- the layer ---- */

static int put(void *arg, uint64_t off, const void *buf, size_t len, struct ovbd_error *err)
{
	struct ovbd_convert_work *w = arg;

	w->data_size += len;
	return ovbd_layer_put(w->writer, off, buf, len, err);
}

static int apply_stream(struct ovbd_convert_work *w, struct stream *s, struct ovbd_fs *fs,
                        struct ovbd_apply_done *ret, struct ovbd_error *err)
{
	struct ovbd_error why = {""};
	int r = ovbd_fs_apply(fs, read_unpacked, s, &ret->applied, &why);

	if (r == 0)
		r = take_digests(s, ret, &why);
	if (r < 0)
		return ovbd_fail(err, r, "%s: %s", s->a->tar, why.msg);
	r = ovbd_fs_finish(fs, err);
	return r < 0 ? r : ovbd_layer_finish(w->writer, err);
}

static int run(struct ovbd_convert_work *w, const struct ovbd_apply *a, struct ovbd_apply_done *ret,
               struct ovbd_error *err)
{
	const struct ovbd_convert *c = &a->out;
	OVBD_AUTO(close_stream) struct stream s = {.a = a};
	OVBD_AUTO(ovbd_fs_closep) struct ovbd_fs *fs = NULL;
	struct ovbd_fs_params how = {
		.base = c->base ? c->base->blob : NULL,
		.size = a->fs_size,
		.now = a->now,
		.put = put,
		.arg = w,
	};
	struct ovbd_layer_params p = {
		.uuid = c->uuid,
		.parent_uuid = c->parent_uuid,
		.tag = c->tag,
		.over_base = c->base,
	};
	AUTO_SINK *chain = NULL;
	int r = open_stream(&s, err);

	if (r == 0)
		r = ovbd_fs_open(&how, &fs, err);
	if (r == 0)
		r = ovbd_convert_chain(w, &chain, err);
	if (r < 0)
		return r;
	ret->fs_size = ovbd_fs_size(fs);
	p.virtual_size = c->base ? c->base->blob->size : ret->fs_size;
	r = ovbd_layer_create(OVBD_MOVE(chain), &p, &w->writer, err);
	return r < 0 ? r : apply_stream(w, &s, fs, ret, err);
}

int ovbd_apply_run(const struct ovbd_apply *a, struct ovbd_apply_done *ret, bool *ret_local,
                   struct ovbd_error *err)
{
	struct ovbd_convert_work w = {.c = &a->out};
	int r;

	*ret = (struct ovbd_apply_done){0};
	r = run(&w, a, ret, err);
	if (r == 0)
		ret->converted = (struct ovbd_converted){
			.raw_size = w.zfile ? w.zfile->written : w.file->written,
			.stored_size = w.file->written,
			.data_size = w.data_size,
			.nsegments = ovbd_layer_writer_nsegments(w.writer),
			.nlarge = w.zfile ? ovbd_zfile_sink_nlarge(w.zfile) : 0,
		};
	ovbd_layer_writer_close(w.writer);
	*ret_local = true;
	return r;
}
