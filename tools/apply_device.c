// SPDX-License-Identifier: Apache-2.0
/*
 *     tar ─► unpack ─► fs ─┬─ contents of files, at once ──► device
 *                          └─ metadata, at the end ────────► device ─► flush
 *
 * The file system is read from the device that is written to meanwhile. That is sound, as nothing
 * is read after it was written: contents never are, and metadata are written when all is done.
 */
#include "tools/apply_device.h"

#include <errno.h>
#include <openssl/evp.h>
#include <strings.h>

#include "base/bytes.h"
#include "fs/fs.h"
#include "fs/unpack.h"
#include "tools/tar_file.h"

#define BLOCK OVBD_FS_BLOCK

/* Where zeros are already, nothing is written: a layer would have to hold it. */
static int zero(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct ovbd_run run;
	int r = 0;

	for (; r == 0 && len > 0; off += run.len, len -= run.len) {
		r = ovbd_blob_run_at(d->blob, off, len, &run, err);
		if (r == 0 && run.kind == OVBD_RUN_DATA)
			r = ovbd_device_write_zeroes(d, off, run.len, 0, err);
	}
	return r;
}

static int put(void *arg, uint64_t off, const void *buf, size_t len, struct ovbd_error *err)
{
	struct ovbd_device *d = arg;
	const uint8_t *p = buf;
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < len) {
		const bool zeros = ovbd_is_zero(p + at, BLOCK);
		size_t n = BLOCK;

		while (at + n < len && ovbd_is_zero(p + at + n, BLOCK) == zeros)
			n += BLOCK;
		r = zeros ? zero(d, off + at, n, err)
		          : ovbd_device_pwrite(d, p + at, n, off + at, 0, err);
		at += n;
	}
	return r;
}

struct tar {
	struct ovbd_tar_file *file;
	struct ovbd_fs_unpack *unpack;
	EVP_MD_CTX *md; /* of what is unpacked */
};

static void close_tar(struct tar *t)
{
	ovbd_fs_unpack_close(t->unpack);
	ovbd_tar_file_close(t->file);
	EVP_MD_CTX_free(t->md);
}

static ssize_t read_tar(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct tar *t = arg;
	const ssize_t n = ovbd_fs_unpack_read(t->unpack, buf, len, err);

	if (n > 0 && EVP_DigestUpdate(t->md, buf, (size_t)n) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return n;
}

static int open_tar(const struct ovbd_apply_device *a, struct tar *ret, struct ovbd_error *err)
{
	const int r = ovbd_tar_file_open(a->tar, a->progress, a->arg, &ret->file, err);

	if (r < 0)
		return r;
	ret->md = EVP_MD_CTX_new();
	if (!ret->md || EVP_DigestInit_ex(ret->md, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return ovbd_fs_unpack_open(ovbd_tar_file_read, ret->file, &ret->unpack, err);
}

static int apply_tar(const struct ovbd_apply_device *a, struct ovbd_fs *fs, struct ovbd_error *err)
{
	OVBD_AUTO(close_tar) struct tar t = {.file = NULL};
	char got[OVBD_DIGEST_TEXT_SIZE];
	int r = open_tar(a, &t, err);

	if (r < 0)
		return ovbd_fail_named(err, r, a->tar);
	r = ovbd_fs_apply(fs, read_tar, &t, NULL, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s", a->tar);
	ovbd_digest_text(t.md, got);
	if (a->diff_id && strcasecmp(a->diff_id, got) != 0)
		return ovbd_fail(err, -EBADMSG, "sha256 checksum mismatch, expect: %s, got: %s",
		                 a->diff_id, got);
	return 0;
}

int ovbd_apply_device(const struct ovbd_apply_device *a, struct ovbd_error *err)
{
	const uint64_t size = a->device->blob->size;
	OVBD_AUTO(ovbd_fs_closep) struct ovbd_fs *fs = NULL;
	const struct ovbd_fs_params how = {
		.base = a->mkfs ? NULL : a->device->blob,
		.size = ovbd_align_down(size, BLOCK),
		.now = a->now,
		.put = put,
		.arg = a->device,
	};
	int r = ovbd_fs_open(&how, &fs, err);

	if (r == 0 && a->mkfs)
		r = zero(a->device, 0, size, err);
	if (r == 0 && a->tar)
		r = apply_tar(a, fs, err);
	if (r == 0)
		r = ovbd_fs_finish(fs, err);
	return r < 0 ? r : ovbd_device_flush(a->device, err);
}
