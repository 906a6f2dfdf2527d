// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a blob that is all there has the digest that its key names; and the mark, NAME.whole, by
 * which others know that somebody has looked.
 *
 * The mark has a digest of the map, entry by entry, as it was when the bytes were: whatever is
 * stored or taken out later makes it one of another map. So nobody has to remove it for it to be
 * void, and one that was torn, or came back after a power cut, is void too, and costs one more
 * look.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "remote/cache_impl.h"
#include "remote/cache_key.h"

#define PATH_SIZE    (CACHE_NAME_SIZE + 8)
#define DROP_MS      2000
#define POLL_MS      5
#define ENTRIES      256u           /* read at once */
#define ENTRY_HASHED CACHE_OFF_USED /* bytes of an entry: all that must not change */

static const char *path_of(char buf[PATH_SIZE], const char *name, const char *ending)
{
	snprintf(buf, PATH_SIZE, "%s.%s", name, ending);
	return buf;
}

static void ctx_free(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

#define AUTO_CTX OVBD_AUTO(ctx_free) EVP_MD_CTX

static EVP_MD_CTX *sha256_begin(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

/* A mark is begun: with what the map is of. NULL: no memory. */
static EVP_MD_CTX *mark_begin(const struct cache_file *f)
{
	AUTO_CTX *ctx = sha256_begin();
	uint8_t header[CACHE_HEADER_SIZE];

	cache_header_encode(&f->header, header);
	return ctx && EVP_DigestUpdate(ctx, header, sizeof(header)) ? OVBD_MOVE(ctx) : NULL;
}

/* ---- the mark ---- */

/* False: a chunk is not there. */
static bool mark_of(const struct cache_file *f, uint8_t ret[CACHE_MARK_SIZE])
{
	AUTO_CTX *ctx = mark_begin(f);
	uint8_t buf[ENTRIES * CACHE_ENTRY_SIZE];

	for (uint64_t i = 0; ctx && i < f->nchunks;) {
		const size_t n = (size_t)ovbd_min(ENTRIES, f->nchunks - i);
		const ssize_t len = (ssize_t)(n * CACHE_ENTRY_SIZE);

		if (pread(f->map_fd, buf, (size_t)len, (off_t)cache_entry_at(i)) != len)
			return false;
		for (size_t k = 0; k < n; k++, i++) {
			const uint8_t *e = buf + k * CACHE_ENTRY_SIZE;

			if (!cache_entry_decode(e, f->seed, i).present ||
			    !EVP_DigestUpdate(ctx, e, ENTRY_HASHED))
				return false;
		}
	}
	return ctx && EVP_DigestFinal_ex(ctx, ret, NULL);
}

bool cache_whole_is_marked(const struct cache_file *f)
{
	char path[PATH_SIZE];
	AUTO_FD fd = openat(f->cache->dir_fd, path_of(path, f->name, "whole"),
	                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t there[CACHE_MARK_SIZE + 1], right[CACHE_MARK_SIZE];

	return fd >= 0 && pread(fd, there, sizeof(there), CACHE_OFF_MARK) == CACHE_MARK_SIZE &&
	       mark_of(f, right) && memcmp(there, right, sizeof(right)) == 0;
}

void cache_whole_forget(struct ovbd_cache *c, const char *name)
{
	char path[PATH_SIZE];

	unlinkat(c->dir_fd, path_of(path, name, "whole"), 0);
}

/* Whether f's map is still what is in the directory under its name. */
static bool is_in_directory(const struct cache_file *f)
{
	struct stat ours, there;
	char path[PATH_SIZE];

	return fstat(f->map_fd, &ours) == 0 &&
	       fstatat(f->cache->dir_fd, path_of(path, f->name, "map"), &there,
	               AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/* What cannot be written is not marked; a full disk is told by those who store. */
static void write_mark(const struct cache_file *f, const uint8_t mark[CACHE_MARK_SIZE])
{
	const int dir = f->cache->dir_fd;
	char part[PATH_SIZE], whole[PATH_SIZE];
	AUTO_FD fd = openat(dir, path_of(part, f->name, "mark"),
	                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return;
	if (write(fd, mark, CACHE_MARK_SIZE) != CACHE_MARK_SIZE || fsync(fd) < 0 ||
	    renameat(dir, part, dir, path_of(whole, f->name, "whole")) < 0)
		unlinkat(dir, part, 0);
}

static void put_mark(const struct cache_file *f, const uint8_t mark[CACHE_MARK_SIZE])
{
	struct ovbd_cache *c = f->cache;

	pthread_mutex_lock(&c->open_lock);
	if (cache_dir_hold(c)) {
		if (is_in_directory(f))
			write_mark(f, mark);
		cache_dir_let_go(c);
	}
	pthread_mutex_unlock(&c->open_lock);
}

/* ---- the look ---- */

/* Adds a chunk to both sums; false: it is not there, is wrong, or was changed meanwhile. */
static bool add_chunk(const struct cache_file *f, uint64_t chunk, uint8_t *buf, EVP_MD_CTX *data,
                      EVP_MD_CTX *mark)
{
	const uint32_t len = cache_chunk_len(f, chunk);
	const off_t at = (off_t)cache_entry_at(chunk);
	uint8_t before[CACHE_ENTRY_SIZE], after[CACHE_ENTRY_SIZE];
	struct cache_entry e;

	if (pread(f->map_fd, before, sizeof(before), at) != sizeof(before))
		return false;
	e = cache_entry_decode(before, f->seed, chunk);
	if (!e.present || cache_data_read(f, buf, len, cache_chunk_off(f, chunk)) < 0 ||
	    ovbd_crc32c(~0u, buf, len) != e.crc)
		return false;
	return pread(f->map_fd, after, sizeof(after), at) == sizeof(after) &&
	       memcmp(before, after, ENTRY_HASHED) == 0 && EVP_DigestUpdate(data, buf, len) &&
	       EVP_DigestUpdate(mark, before, ENTRY_HASHED);
}

static void digest_text(const uint8_t md[32], char ret[OVBD_CACHE_SHA256_SIZE])
{
	int n = snprintf(ret, OVBD_CACHE_SHA256_SIZE, "sha256:");

	for (size_t i = 0; i < 32; i++)
		n += snprintf(ret + n, OVBD_CACHE_SHA256_SIZE - (size_t)n, "%02x", md[i]);
}

enum cache_whole cache_whole_look(const struct cache_file *f, cache_whole_fn go_on, void *arg,
                                  char ret_is[OVBD_CACHE_SHA256_SIZE])
{
	AUTO_FREE uint8_t *buf = malloc(f->header.chunk_size);
	AUTO_CTX *data = sha256_begin();
	AUTO_CTX *mark = mark_begin(f);
	char wanted[OVBD_CACHE_SHA256_SIZE];
	uint8_t md[32];

	if (!ovbd_cache_key_sha256(f->header.key, wanted) || !buf || !data || !mark)
		return CACHE_WHOLE_UNKNOWN;
	for (uint64_t i = 0; i < f->nchunks; i++)
		if ((go_on && !go_on(arg, f->header.chunk_size)) ||
		    !add_chunk(f, i, buf, data, mark))
			return CACHE_WHOLE_UNKNOWN;
	if (!EVP_DigestFinal_ex(data, md, NULL))
		return CACHE_WHOLE_UNKNOWN;
	digest_text(md, ret_is);
	if (strcmp(ret_is, wanted) != 0)
		return CACHE_WHOLE_WRONG;
	if (EVP_DigestFinal_ex(mark, md, NULL))
		put_mark(f, md);
	return CACHE_WHOLE_RIGHT;
}

/* Who holds its lock is about to let go of it, or to store another; so long *patience lasts. */
static bool drop_chunk(struct cache_file *f, uint64_t chunk, unsigned *patience)
{
	const struct timespec poll = {.tv_nsec = POLL_MS * 1000000L};
	const int64_t lock = CACHE_LOCK_AT + (int64_t)chunk;
	struct cache_entry e;
	bool gone = true;

	while (!cache_lock_try(f->map_fd, lock, 1)) {
		if (*patience == 0)
			return false;
		--*patience;
		nanosleep(&poll, NULL);
	}
	e = cache_entry_load(f, chunk);
	if (e.present) {
		e.present = false;
		gone = cache_entry_store(f, chunk, &e) == 0;
	}
	cache_unlock(f->map_fd, lock, 1);
	return gone;
}

bool cache_whole_drop(struct cache_file *f)
{
	unsigned patience = DROP_MS / POLL_MS;
	bool all = true;

	cache_whole_forget(f->cache, f->name);
	for (uint64_t i = 0; i < f->nchunks; i++)
		all &= drop_chunk(f, i, &patience);
	return all;
}
