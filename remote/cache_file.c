// SPDX-License-Identifier: Apache-2.0
/*
 * NAME.map says which chunks NAME.data has. The two are made together, data first, and removed
 * together, map first: a map without its own data file does not exist. Another map than the one
 * wanted (of another size, or damaged) is removed with its data, never truncated, because another
 * process may be reading them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "remote/cache_impl.h"

#define USED_STEP_S 60u /* how exactly it is known when a chunk was last used */

struct names {
	char map[CACHE_NAME_SIZE + 8], data[CACHE_NAME_SIZE + 8], part[CACHE_NAME_SIZE + 8];
};

static struct names names_of(const char *name)
{
	struct names n;

	snprintf(n.map, sizeof(n.map), "%s.map", name);
	snprintf(n.data, sizeof(n.data), "%s.data", name);
	snprintf(n.part, sizeof(n.part), "%s.part", name);
	return n;
}

static uint32_t seed_of(const struct cache_header *h)
{
	return ovbd_crc32c(~0u, h->key, strlen(h->key));
}

bool cache_file_peek(struct ovbd_cache *c, const char *name, struct cache_file *ret)
{
	const struct names n = names_of(name);
	AUTO_FD map = openat(c->dir_fd, n.map, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	AUTO_FD data = openat(c->dir_fd, n.data, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	uint8_t buf[CACHE_HEADER_SIZE];

	memset(ret, 0, sizeof(*ret));
	if (map < 0 || data < 0 || pread(map, buf, sizeof(buf), 0) != sizeof(buf) ||
	    cache_header_decode(buf, &ret->header, NULL) < 0)
		return false;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	ret->cache = c;
	ret->seed = seed_of(&ret->header);
	ret->nchunks = cache_nchunks(ret->header.blob_size, ret->header.chunk_size);
	ret->map_fd = map;
	ret->data_fd = data;
	map = data = -1;
	return true;
}

void cache_file_unpeek(struct cache_file *f)
{
	close(f->map_fd);
	close(f->data_fd);
}

void cache_file_remove(struct cache_file *f)
{
	struct ovbd_cache *c = f->cache;
	const struct names n = names_of(f->name);

	pthread_mutex_lock(&c->open_lock);
	if (cache_dir_hold(c)) {
		if (cache_in_use_by_none(f->map_fd)) {
			cache_whole_forget(c, f->name);
			unlinkat(c->dir_fd, n.map, 0);
			unlinkat(c->dir_fd, n.data, 0);
		}
		cache_dir_let_go(c);
	}
	pthread_mutex_unlock(&c->open_lock);
}

int cache_each_file(struct ovbd_cache *c, cache_file_fn one, void *ctx)
{
	const int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return fd < 0 ? -errno : (close(fd), -ENOMEM);
	while (r == 0 && (e = readdir(d))) {
		const size_t len = strlen(e->d_name);
		char name[CACHE_NAME_SIZE];
		struct cache_file f;

		if (len != sizeof(name) - 1 + 4 || strcmp(e->d_name + len - 4, ".map") != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(len - 4), e->d_name);
		if (!cache_file_peek(c, name, &f))
			continue;
		r = one(ctx, &f);
		cache_file_unpeek(&f);
	}
	closedir(d);
	return r;
}

/* A map of the right length, of which only the header is not a hole. */
static int make_map(const struct cache_file *f, const struct names *n)
{
	const uint64_t nchunks = cache_nchunks(f->header.blob_size, f->header.chunk_size);
	AUTO_FD fd =
		openat(f->cache->dir_fd, n->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint8_t buf[CACHE_HEADER_SIZE];
	int map;

	cache_header_encode(&f->header, buf);
	if (fd < 0 || ftruncate(fd, (off_t)cache_entry_at(nchunks)) < 0)
		return -errno;
	errno = EIO;
	if (pwrite(fd, buf, sizeof(buf), 0) != sizeof(buf))
		return -errno;
	map = fd;
	fd = -1;
	return map;
}

static int make_new(struct cache_file *f, const struct names *n)
{
	const int dir = f->cache->dir_fd;
	AUTO_FD map = -1;
	AUTO_FD data = -1;

	cache_whole_forget(f->cache, f->name);
	unlinkat(dir, n->map, 0);
	unlinkat(dir, n->data, 0);
	data = openat(dir, n->data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (data < 0 || ftruncate(data, (off_t)f->header.blob_size) < 0)
		return -errno;
	map = make_map(f, n);
	if (map < 0)
		return map;
	if (renameat(dir, n->part, dir, n->map) < 0)
		return -errno;
	f->map_fd = map;
	f->data_fd = data;
	map = data = -1;
	return 0;
}

/* Somebody may be reading it, so it must not be made longer again while it is in use: what is
 * missing would read as zeros then, and not fail. */
bool cache_file_is_whole(const struct cache_file *f)
{
	struct stat data, map;

	return fstat(f->data_fd, &data) == 0 && (uint64_t)data.st_size == f->header.blob_size &&
	       fstat(f->map_fd, &map) == 0 && (uint64_t)map.st_size == cache_entry_at(f->nchunks);
}

bool cache_file_mend(const struct cache_file *f)
{
	return cache_file_is_whole(f) ||
	       (cache_in_use_by_none(f->map_fd) &&
	        ftruncate(f->map_fd, (off_t)cache_entry_at(f->nchunks)) == 0 &&
	        ftruncate(f->data_fd, (off_t)f->header.blob_size) == 0);
}

/* Opens what is there, if it is what is wanted. */
static bool open_old(struct cache_file *f)
{
	struct cache_file old;

	if (!cache_file_peek(f->cache, f->name, &old))
		return false;
	if (old.header.blob_size != f->header.blob_size ||
	    strcmp(old.header.key, f->header.key) != 0 || !cache_file_mend(&old)) {
		cache_file_unpeek(&old);
		return false;
	}
	f->header = old.header;
	f->map_fd = old.map_fd;
	f->data_fd = old.data_fd;
	return true;
}

/* Under open_lock. */
static void open_files(struct cache_file *f)
{
	struct ovbd_cache *c = f->cache;
	const struct names n = names_of(f->name);
	int r;

	if (c->dir_fd < 0)
		return;
	if (!cache_dir_hold(c)) {
		cache_trouble(c, -EBUSY, "lock");
		return;
	}
	r = open_old(f) ? 0 : make_new(f, &n);
	if (r < 0)
		cache_trouble(c, r, n.data);
	else
		cache_in_use(f->map_fd); /* so that nobody removes it */
	cache_dir_let_go(c);
}

static void file_free(struct cache_file *f)
{
	pthread_mutex_lock(&f->lock);
	while (f->fills)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
	if (f->map_fd >= 0)
		close(f->map_fd);
	if (f->data_fd >= 0)
		close(f->data_fd);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f->notes);
	free(f->doubts);
	free(f);
}

static struct cache_file *file_new(struct ovbd_cache *c, const char *key, uint64_t size,
                                   uint32_t chunk_size)
{
	struct cache_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->cache = c;
	f->users = 1;
	f->map_fd = f->data_fd = -1;
	f->header.blob_size = size;
	f->header.chunk_size = chunk_size;
	snprintf(f->header.key, sizeof(f->header.key), "%s", key);
	cache_name(key, f->name);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	open_files(f);
	f->seed = seed_of(&f->header);
	f->nchunks = cache_nchunks(size, f->header.chunk_size);
	f->notes = ovbd_array_alloc(f->nchunks, sizeof(f->notes[0]));
	if (!f->notes) {
		file_free(f);
		return NULL;
	}
	return f;
}

/* Under c->lock. */
static struct cache_file *find(const struct ovbd_cache *c, const char *key, uint64_t size)
{
	struct cache_file *f = c->files;

	while (f && (strcmp(f->header.key, key) != 0 || f->header.blob_size != size))
		f = f->next;
	return f;
}

int cache_file_open(struct ovbd_cache *c, const char *key, uint64_t size, uint32_t chunk_size,
                    struct cache_file **ret, struct ovbd_error *err)
{
	struct cache_file *f;
	bool new;

	if (!key[0] || strlen(key) >= CACHE_KEY_MAX)
		return ovbd_fail(err, -EINVAL, "a cache key of %zu bytes", strlen(key));
	pthread_mutex_lock(&c->open_lock);
	pthread_mutex_lock(&c->lock);
	f = find(c, key, size);
	if (f)
		f->users++;
	pthread_mutex_unlock(&c->lock);
	new = !f;
	if (new) {
		f = file_new(c, key, size, chunk_size ? chunk_size : c->params.chunk_size);
		pthread_mutex_lock(&c->lock);
		if (f) {
			f->next = c->files;
			c->files = f;
		}
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&c->open_lock);
	if (!f)
		return ovbd_fail(err, -ENOMEM, "out of memory for a chunk map");
	if (new)
		cache_check_want(f);
	*ret = f;
	return 0;
}

void cache_file_close(struct cache_file *take_f)
{
	struct ovbd_cache *c = take_f->cache;
	struct cache_file **at;
	bool last;

	pthread_mutex_lock(&c->lock);
	last = --take_f->users == 0;
	for (at = &c->files; last && *at != take_f; at = &(*at)->next)
		;
	if (last)
		*at = take_f->next;
	pthread_mutex_unlock(&c->lock);
	if (last)
		file_free(take_f);
}

uint64_t cache_chunk_off(const struct cache_file *f, uint64_t chunk)
{
	return chunk * f->header.chunk_size;
}

uint32_t cache_chunk_len(const struct cache_file *f, uint64_t chunk)
{
	const uint64_t left = f->header.blob_size - cache_chunk_off(f, chunk);

	return (uint32_t)ovbd_min(left, f->header.chunk_size);
}

struct cache_entry cache_entry_load(const struct cache_file *f, uint64_t chunk)
{
	uint8_t buf[CACHE_ENTRY_SIZE];

	if (f->map_fd < 0 ||
	    pread(f->map_fd, buf, sizeof(buf), (off_t)cache_entry_at(chunk)) != sizeof(buf))
		return (struct cache_entry){0};
	return cache_entry_decode(buf, f->seed, chunk);
}

int cache_entry_store(const struct cache_file *f, uint64_t chunk, const struct cache_entry *e)
{
	uint8_t buf[CACHE_ENTRY_SIZE];

	cache_entry_encode(e, f->seed, chunk, buf);
	errno = EIO;
	if (pwrite(f->map_fd, buf, sizeof(buf), (off_t)cache_entry_at(chunk)) != sizeof(buf))
		return -errno;
	return 0;
}

/* Notes that the chunk is still wanted. No lock: if it has gone meanwhile, that does no harm. */
static void touch(const struct cache_file *f, uint64_t chunk, const struct cache_entry *e)
{
	uint8_t buf[4];

	if (cache_now_s() - e->used < USED_STEP_S)
		return;
	ovbd_put_le32(buf, cache_now_s());
	if (pwrite(f->map_fd, buf, sizeof(buf), (off_t)cache_entry_used_at(chunk)) < 0)
		return; /* it will seem older than it is */
}

static uint64_t note_of(uint16_t gen, uint64_t seen)
{
	return (uint64_t)gen << 48 | ((seen << 1) & ((UINT64_C(1) << 48) - 1)) | 1;
}

bool cache_chunk_ready(struct cache_file *f, uint64_t chunk, uint64_t *ret_seen)
{
	const uint64_t note = atomic_load_explicit(&f->notes[chunk], memory_order_acquire);
	const uint64_t now = cache_now_ms();
	struct cache_entry e;

	if (!note)
		return false;
	*ret_seen = (note & ((UINT64_C(1) << 48) - 1)) >> 1;
	if (now - *ret_seen < CACHE_TRUST_MS)
		return true;
	e = cache_entry_load(f, chunk);
	if (!e.present || e.gen != note >> 48) {
		atomic_store(&f->notes[chunk], 0);
		return false;
	}
	touch(f, chunk, &e);
	*ret_seen = now;
	cache_chunk_verified(f, chunk, e.gen, now);
	return true;
}

void cache_chunk_verified(struct cache_file *f, uint64_t chunk, uint16_t gen, uint64_t seen)
{
	atomic_store_explicit(&f->notes[chunk], note_of(gen, seen), memory_order_release);
}

int cache_data_read(const struct cache_file *f, void *buf, size_t len, uint64_t off)
{
	const ssize_t n = ovbd_fd_pread(f->data_fd, buf, len, off);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EBADMSG;
}

int cache_data_write(const struct cache_file *f, const void *buf, size_t len, uint64_t off)
{
	return cache_file_is_whole(f) ? ovbd_fd_pwrite(f->data_fd, buf, len, off) : -ESTALE;
}
