// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a tar, compressed or not, applied to a small file system; and then again, over what
 * that has become. Names, contents and metadata all go their whole way.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/unpack.h"

#define FS_SIZE (1u << 20)

struct input {
	const uint8_t *data;
	size_t size, at;
};

static ssize_t read_input(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct input *in = arg;
	const size_t n = (size_t)ovbd_min(len, in->size - in->at);

	(void)err;
	memcpy(buf, in->data + in->at, n);
	in->at += n;
	return (ssize_t)n;
}

static int put(void *arg, uint64_t off, const void *buf, size_t len, struct ovbd_error *err)
{
	(void)err;
	if (len == 0 || off % OVBD_FS_BLOCK || len % OVBD_FS_BLOCK ||
	    !ovbd_within(off, len, FS_SIZE))
		abort();
	memcpy((uint8_t *)arg + off, buf, len);
	return 0;
}

static int apply(const uint8_t *data, size_t size, uint8_t *device, struct ovbd_blob *base)
{
	OVBD_AUTO(ovbd_fs_closep) struct ovbd_fs *fs = NULL;
	OVBD_AUTO(ovbd_fs_unpack_closep) struct ovbd_fs_unpack *u = NULL;
	const struct ovbd_fs_params p = {
		.base = base,
		.size = FS_SIZE,
		.put = put,
		.arg = device,
	};
	struct input in = {.data = data, .size = size};
	struct ovbd_error err;
	int r = ovbd_fs_open(&p, &fs, &err);

	if (r < 0)
		abort(); /* of our own making */
	r = ovbd_fs_unpack_open(read_input, &in, &u, &err);
	if (r == 0)
		r = ovbd_fs_apply(fs, ovbd_fs_unpack_read, u, NULL, &err);
	return r < 0 ? r : ovbd_fs_finish(fs, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE uint8_t *device = calloc(1, FS_SIZE), *next = malloc(FS_SIZE);
	AUTO_BLOB *base = NULL;

	if (!device || !next || apply(data, size, device, NULL) < 0)
		return 0;
	memcpy(next, device, FS_SIZE);
	if (ovbd_blob_open_mem(device, FS_SIZE, &base, NULL) == 0)
		apply(data, size, next, base);
	return 0;
}
