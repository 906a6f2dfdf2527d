// SPDX-License-Identifier: Apache-2.0
/*
 * A bit for each block, in memory that is the file's: what was stored there outlives the process.
 * A bit goes before the write is begun, and comes when the discard is done; so at any moment what
 * has a bit is not needed. All of the file is allocated at first, as memory without a place in its
 * file system would end the process.
 */
#include "daemon/trimmed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/bytes.h"

#define HEAD_SIZE 4096u
#define BOOT_ID   "/proc/sys/kernel/random/boot_id"

struct trimmed {
	struct ovbd_device device;
	struct ovbd_device *to;
	uint32_t block_size;
	uint64_t nblocks;
	char *map; /* HEAD_SIZE bytes that say of what it is, and the bits */
	size_t map_size;
};

static struct trimmed *trimmed_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct trimmed, device);
}

static _Atomic uint64_t *word_of(struct trimmed *t, uint64_t block)
{
	void *words = t->map + HEAD_SIZE;

	return (_Atomic uint64_t *)words + block / 64;
}

/* The bits of one word that are in [from, to). */
static uint64_t mask_of(uint64_t from, uint64_t to)
{
	const uint64_t n = ovbd_min(to - from, 64 - from % 64);

	return (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << from % 64;
}

/* Of blocks [from, to). */
static void put(struct trimmed *t, uint64_t from, uint64_t to, bool on)
{
	for (uint64_t at = from; at < to; at = (at / 64 + 1) * 64) {
		const uint64_t mask = mask_of(at, to);
		_Atomic uint64_t *word = word_of(t, at);

		if (on)
			atomic_fetch_or(word, mask);
		else if (atomic_load(word) & mask)
			atomic_fetch_and(word, ~mask);
	}
}

static void needed(struct trimmed *t, uint64_t off, uint64_t len)
{
	put(t, off / t->block_size, (off + len - 1) / t->block_size + 1, false);
}

static int trimmed_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                          unsigned flags, struct ovbd_error *err)
{
	struct trimmed *t = trimmed_of(d);

	needed(t, off, len);
	return ovbd_device_pwrite(t->to, buf, len, off, flags, err);
}

static int trimmed_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                                struct ovbd_error *err)
{
	struct trimmed *t = trimmed_of(d);

	needed(t, off, len);
	return ovbd_device_write_zeroes(t->to, off, len, flags, err);
}

static int trimmed_discard(struct ovbd_device *d, uint64_t off, uint64_t len,
                           struct ovbd_error *err)
{
	struct trimmed *t = trimmed_of(d);
	const uint64_t from = (off + t->block_size - 1) / t->block_size;
	const uint64_t to = (off + len) / t->block_size;
	const int r = ovbd_device_discard(t->to, off, len, err);

	if (r == 0 && from < to)
		put(t, from, to, true);
	return r;
}

static int trimmed_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	return ovbd_device_flush(trimmed_of(d)->to, err);
}

static void trimmed_free(struct ovbd_device *d)
{
	struct trimmed *t = trimmed_of(d);

	ovbd_device_close(t->to);
	munmap(t->map, t->map_size);
	free(t);
}

static const struct ovbd_device_ops trimmed_ops = {
	.pwrite = trimmed_pwrite,
	.write_zeroes = trimmed_write_zeroes,
	.discard = trimmed_discard,
	.flush = trimmed_flush,
};

/* What the file begins with: this start of the host, and this device. */
static int put_head(const struct ovbd_trimmed_params *p, char head[HEAD_SIZE])
{
	FILE *f = fopen(BOOT_ID, "re");
	char boot[64] = "";
	size_t n = 0;

	if (f) {
		n = fread(boot, 1, sizeof(boot) - 1, f);
		fclose(f);
	}
	if (n == 0)
		return -ENOENT;
	memset(head, 0, HEAD_SIZE);
	snprintf(head, HEAD_SIZE,
	         "what is trimmed of a device of %" PRIu64 " bytes in blocks of %u\n%s", p->size,
	         (unsigned)p->block_size, boot);
	return 0;
}

/* The file in memory, with the bits that it has, or none. */
static int map_file(struct trimmed *t, const struct ovbd_trimmed_params *p)
{
	AUTO_FD fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char head[HEAD_SIZE];
	struct stat st;
	void *map;
	int r = fd < 0 || fstat(fd, &st) < 0 ? -errno : put_head(p, head);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return -EEXIST;
	if ((p->anew || (uint64_t)st.st_size != t->map_size) && ftruncate(fd, 0) < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, (off_t)t->map_size);
	if (r < 0)
		return r;
	map = mmap(NULL, t->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	t->map = map;
	if (memcmp(t->map, head, HEAD_SIZE) != 0) {
		memset(t->map, 0, t->map_size);
		memcpy(t->map, head, HEAD_SIZE);
	}
	return 0;
}

/* Says again of each run what its users said. */
static int discard_again(struct trimmed *t, struct ovbd_error *err)
{
	uint64_t at = 0;
	int r = 0;

	while (r == 0 && at < t->nblocks) {
		uint64_t from;

		if (at % 64 == 0 && !atomic_load(word_of(t, at))) {
			at += 64;
			continue;
		}
		for (from = at; at < t->nblocks && (atomic_load(word_of(t, at)) >> at % 64 & 1);
		     at++)
			;
		if (from < at)
			r = ovbd_device_discard(t->to, from * t->block_size,
			                        (at - from) * t->block_size, err);
		else
			at++;
	}
	return r;
}

int ovbd_trimmed_open(struct ovbd_device *take_d, const struct ovbd_trimmed_params *p,
                      struct ovbd_device **ret, struct ovbd_error *err)
{
	AUTO_DEVICE *to = take_d;
	struct trimmed *t = calloc(1, sizeof(*t));
	struct ovbd_blob *blob;
	int r = t ? ovbd_blob_open_lent(to->blob, &blob, err) : -ENOMEM;

	if (r < 0) {
		free(t);
		return ovbd_fail(err, r, "out of memory");
	}
	t->block_size = p->block_size;
	t->nblocks = p->size / p->block_size;
	t->map_size = (size_t)(HEAD_SIZE + (t->nblocks / 64 + 1) * 8);
	r = map_file(t, p);
	if (r < 0) {
		ovbd_fail_errno(err, r,
		                "%s: what is trimmed cannot be noted, and must be trimmed again "
		                "after a restart of the daemon",
		                p->path);
		ovbd_blob_close(blob);
		free(t);
		*ret = OVBD_MOVE(to);
		return 0;
	}
	t->to = OVBD_MOVE(to);
	t->device = (struct ovbd_device){.blob = blob, .ops = &trimmed_ops, .free = trimmed_free};
	r = discard_again(t, err);
	if (r < 0)
		ovbd_device_close(&t->device);
	else
		*ret = &t->device;
	return r;
}
