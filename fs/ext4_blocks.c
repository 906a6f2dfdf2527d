// SPDX-License-Identifier: Apache-2.0
/*
 * Blocks that libext2fs writes are kept in a hash table over the base. The first MEMORY_BLOCKS of
 * them are in memory, the others in a temporary file without a name: the metadata of any image find
 * room, and memory stays bounded.
 *
 * libext2fs opens its "device" by a name; here that is where a struct ext4 is, in hexadecimal.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "fs/ext4.h"

#define BLOCK         OVBD_FS_BLOCK
#define MEMORY_BLOCKS 12288u /* 48 MiB */
#define NOWHERE       UINT64_MAX
#define GONE          UINT32_MAX

struct ext4_blocks {
	uint64_t *blocks; /* an open hash table: the number of the block, or NOWHERE */
	uint32_t *slots;  /* GONE: it is no metadata any more */
	size_t n, cap;    /* n: numbers in the table */
	uint32_t nslots;
	uint8_t **memory; /* of slots below MEMORY_BLOCKS */
	int fd;           /* for the others; < 0: none yet */
};

int ext4_blocks_create(struct ext4_blocks **ret)
{
	struct ext4_blocks *b = calloc(1, sizeof(*b));

	if (b)
		b->memory = calloc(MEMORY_BLOCKS, sizeof(b->memory[0]));
	if (!b || !b->memory) {
		free(b);
		return -ENOMEM;
	}
	b->fd = -1;
	*ret = b;
	return 0;
}

void ext4_blocks_free(struct ext4_blocks *take_b)
{
	if (!take_b)
		return;
	for (unsigned i = 0; i < MEMORY_BLOCKS; i++)
		free(take_b->memory[i]);
	free(take_b->memory);
	free(take_b->blocks);
	free(take_b->slots);
	if (take_b->fd >= 0)
		close(take_b->fd);
	free(take_b);
}

/* Where the block is, or would be, in the table. */
static size_t find(const struct ext4_blocks *b, uint64_t block)
{
	size_t i = (size_t)(block * 0x9e3779b97f4a7c15u >> 20) & (b->cap - 1);

	while (b->blocks[i] != block && b->blocks[i] != NOWHERE)
		i = (i + 1) & (b->cap - 1);
	return i;
}

static int grow(struct ext4_blocks *b)
{
	struct ext4_blocks old = *b;

	b->cap = old.cap ? 2 * old.cap : 1024;
	b->blocks = malloc(b->cap * sizeof(b->blocks[0]));
	b->slots = malloc(b->cap * sizeof(b->slots[0]));
	if (!b->blocks || !b->slots) {
		free(b->blocks);
		free(b->slots);
		*b = old;
		return -ENOMEM;
	}
	memset(b->blocks, 0xff, b->cap * sizeof(b->blocks[0]));
	for (size_t i = 0; i < old.cap; i++)
		if (old.blocks[i] != NOWHERE) {
			const size_t at = find(b, old.blocks[i]);

			b->blocks[at] = old.blocks[i];
			b->slots[at] = old.slots[i];
		}
	free(old.blocks);
	free(old.slots);
	return 0;
}

static int open_spill(struct ext4_blocks *b)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];

	snprintf(path, sizeof(path), "%s/ovbd-fs-XXXXXX", dir && dir[0] ? dir : "/tmp");
	b->fd = mkostemp(path, O_CLOEXEC);
	if (b->fd < 0)
		return -errno;
	unlink(path);
	return 0;
}

static int transfer(struct ext4_blocks *b, uint32_t slot, uint8_t *out, const uint8_t *in)
{
	const off_t at = (off_t)(slot - MEMORY_BLOCKS) * BLOCK;
	ssize_t n;

	if (slot < MEMORY_BLOCKS) {
		memcpy(out ? out : b->memory[slot], out ? b->memory[slot] : in, BLOCK);
		return 0;
	}
	errno = EIO;
	n = out ? pread(b->fd, out, BLOCK, at) : pwrite(b->fd, in, BLOCK, at);
	return n == BLOCK ? 0 : -errno;
}

/* Whether the block was written; then its bytes. */
static int get(struct ext4_blocks *b, uint64_t block, uint8_t *ret)
{
	size_t i;
	int r;

	if (b->cap == 0)
		return 0;
	i = find(b, block);
	if (b->blocks[i] == NOWHERE || b->slots[i] == GONE)
		return 0;
	r = transfer(b, b->slots[i], ret, NULL);
	return r < 0 ? r : 1;
}

static int set(struct ext4_blocks *b, uint64_t block, const uint8_t *bytes)
{
	size_t i;
	int r = 2 * (b->n + 1) > b->cap ? grow(b) : 0;

	if (r < 0)
		return r;
	i = find(b, block);
	if (b->blocks[i] == NOWHERE || b->slots[i] == GONE) {
		const uint32_t slot = b->nslots;

		if (slot < MEMORY_BLOCKS) {
			b->memory[slot] = malloc(BLOCK);
			r = b->memory[slot] ? 0 : -ENOMEM;
		} else if (b->fd < 0) {
			r = open_spill(b);
		}
		if (r < 0)
			return r;
		b->n += b->blocks[i] == NOWHERE;
		b->blocks[i] = block;
		b->slots[i] = slot;
		b->nslots++;
	}
	return transfer(b, b->slots[i], NULL, bytes);
}

void ext4_blocks_forget(struct ext4_blocks *b, uint64_t block, uint64_t n)
{
	for (; b->cap > 0 && n > 0; n--, block++) {
		const size_t i = find(b, block);

		if (b->blocks[i] != NOWHERE)
			b->slots[i] = GONE;
	}
}

static int by_number(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int ext4_blocks_each(struct ext4_blocks *b,
                     int (*one)(void *arg, uint64_t block, const uint8_t *bytes,
                                struct ovbd_error *err),
                     void *arg, struct ovbd_error *err)
{
	AUTO_FREE uint64_t *all = malloc((b->n + 1) * sizeof(*all));
	uint8_t bytes[BLOCK];
	size_t n = 0;
	int r = 0;

	if (!all)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < b->cap; i++)
		if (b->blocks[i] != NOWHERE && b->slots[i] != GONE)
			all[n++] = b->blocks[i];
	qsort(all, n, sizeof(*all), by_number);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = get(b, all[i], bytes);
		if (r < 0)
			return ovbd_fail_errno(err, r, "a temporary file of metadata");
		r = one(arg, all[i], bytes, err);
	}
	return r;
}

/* ---- a device of bytes ---- */

static int remember(struct ext4 *x, int code)
{
	x->io_failed = true;
	x->io_code = code;
	return code;
}

static int read_block(struct ext4 *x, uint64_t block, uint8_t *ret)
{
	const uint64_t at = block * BLOCK;
	int r = get(x->blocks, block, ret);

	if (r < 0)
		ovbd_fail_errno(&x->io_err, r, "a temporary file of metadata");
	if (r != 0)
		return r < 0 ? remember(x, r) : 0;
	memset(ret, 0, BLOCK);
	if (!x->p.base || at >= x->p.base->size)
		return 0;
	r = ovbd_blob_pread(x->p.base, ret, (size_t)ovbd_min(BLOCK, x->p.base->size - at), at,
	                    &x->io_err);
	return r < 0 ? remember(x, r) : 0;
}

static errcode_t move_bytes(struct ext4 *x, uint64_t off, uint64_t len, uint8_t *out,
                            const uint8_t *in)
{
	uint8_t block[BLOCK];

	if (!ovbd_within(off, len, x->size))
		return EXT2_ET_SHORT_READ;
	for (uint64_t done = 0; done < len;) {
		const size_t skip = (size_t)((off + done) % BLOCK);
		const size_t n = (size_t)ovbd_min(BLOCK - skip, len - done);
		const uint64_t number = (off + done) / BLOCK;
		int r = 0;

		if (out || n < BLOCK)
			r = read_block(x, number, block);
		if (r == 0 && out) {
			memcpy(out + done, block + skip, n);
		} else if (r == 0) {
			memcpy(block + skip, in + done, n);
			r = set(x->blocks, number, block);
			if (r < 0) {
				ovbd_fail_errno(&x->io_err, r, "a temporary file of metadata");
				remember(x, r);
			}
		}
		if (r < 0)
			return -r;
		done += n;
	}
	return 0;
}

/* ---- libext2fs's side of it ---- */

void ext4_io_name(const struct ext4 *x, char ret[32])
{
	snprintf(ret, 32, "%jx", (uintmax_t)(uintptr_t)x);
}

static errcode_t io_open(const char *name, int flags, io_channel *ret)
{
	io_channel c = calloc(1, sizeof(*c));

	(void)flags;
	if (!c)
		return EXT2_ET_NO_MEMORY;
	c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	c->manager = ext4_io_manager;
	c->name = strdup(name);
	c->block_size = 1024;
	c->refcount = 1;
	c->private_data = (void *)(uintptr_t)strtoumax(name, NULL, 16);
	if (!c->name) {
		free(c);
		return EXT2_ET_NO_MEMORY;
	}
	*ret = c;
	return 0;
}

static errcode_t io_close(io_channel c)
{
	if (--c->refcount > 0)
		return 0;
	free(c->name);
	free(c);
	return 0;
}

static errcode_t io_set_blksize(io_channel c, int size)
{
	c->block_size = size;
	return 0;
}

/* A count below 0 is one of bytes. */
static uint64_t bytes_of(io_channel c, int count)
{
	return count < 0 ? (uint64_t) - (int64_t)count : (uint64_t)count * (uint64_t)c->block_size;
}

static errcode_t io_read64(io_channel c, unsigned long long block, int count, void *data)
{
	return move_bytes(c->private_data, block * (unsigned)c->block_size, bytes_of(c, count),
	                  data, NULL);
}

static errcode_t io_write64(io_channel c, unsigned long long block, int count, const void *data)
{
	return move_bytes(c->private_data, block * (unsigned)c->block_size, bytes_of(c, count),
	                  NULL, data);
}

static errcode_t io_read(io_channel c, unsigned long block, int count, void *data)
{
	return io_read64(c, block, count, data);
}

static errcode_t io_write(io_channel c, unsigned long block, int count, const void *data)
{
	return io_write64(c, block, count, data);
}

static errcode_t io_write_byte(io_channel c, unsigned long off, int count, const void *data)
{
	return move_bytes(c->private_data, off, (uint64_t)count, NULL, data);
}

static errcode_t io_flush(io_channel c)
{
	(void)c;
	return 0;
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "ovbd",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read,
	.write_blk = io_write,
	.flush = io_flush,
	.write_byte = io_write_byte,
	.read_blk64 = io_read64,
	.write_blk64 = io_write64,
};

const io_manager ext4_io_manager = &manager;
