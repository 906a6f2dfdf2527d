// SPDX-License-Identifier: Apache-2.0
/*
 * What is in the directory, by the names of its files: pairs of map and data, NAME.pin for what is
 * not to be evicted, NAME.whole for what was found to have its digest, and what who was killed has
 * left:
 *
 *     NAME.part            a map that was not finished: whoever makes one holds the directory
 *     NAME.mark            the same of NAME.whole
 *     NAME.data alone      its map was removed, or not made yet: by who holds the directory
 *
 *     NAME.whole alone     the same
 *
 * So whoever holds the directory may remove these.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "remote/cache_impl.h"

#define PATH_SIZE (CACHE_NAME_SIZE + 8)

static const char *path_of(char buf[PATH_SIZE], const char *name, const char *ending)
{
	snprintf(buf, PATH_SIZE, "%s.%s", name, ending);
	return buf;
}

static bool has(const struct ovbd_cache *c, const char *name, const char *ending)
{
	char path[PATH_SIZE];

	return faccessat(c->dir_fd, path_of(path, name, ending), F_OK, 0) == 0;
}

bool cache_has_map(const struct ovbd_cache *c, const char *name)
{
	return has(c, name, "map");
}

bool cache_is_pinned(const struct ovbd_cache *c, const char *name)
{
	return has(c, name, "pin");
}

/* Whether file is called NAME.ending; then ret is NAME. */
static bool split(const char *file, const char *ending, char ret[CACHE_NAME_SIZE])
{
	const size_t n = CACHE_NAME_SIZE - 1;

	if (strspn(file, "0123456789abcdef") != n || file[n] != '.' ||
	    strcmp(file + n + 1, ending) != 0)
		return false;
	memcpy(ret, file, n);
	ret[n] = '\0';
	return true;
}

static DIR *open_dir(const struct ovbd_cache *c)
{
	const int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

int cache_each_name(struct ovbd_cache *c, int (*one)(void *ctx, const char *name), void *ctx,
                    struct ovbd_error *err)
{
	DIR *d = open_dir(c);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return ovbd_fail_errno(err, -errno, "%s", c->path);
	while (r == 0 && (e = readdir(d))) {
		char name[CACHE_NAME_SIZE];

		if (split(e->d_name, "map", name) ||
		    (split(e->d_name, "pin", name) && !cache_has_map(c, name)))
			r = one(ctx, name);
	}
	closedir(d);
	return r;
}

static void read_pin(const struct ovbd_cache *c, const char *name, char ret[CACHE_KEY_MAX])
{
	char path[PATH_SIZE];
	AUTO_FD fd = openat(c->dir_fd, path_of(path, name, "pin"), O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? 0 : read(fd, ret, CACHE_KEY_MAX - 1);

	ret[n > 0 ? n : 0] = '\0';
}

static uint64_t disk_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void count_chunks(const struct cache_file *f, struct ovbd_cache_item *item)
{
	for (uint64_t i = 0; i < f->nchunks; i++) {
		const struct cache_entry e = cache_entry_load(f, i);

		if (!e.present)
			continue;
		item->present += cache_chunk_len(f, i);
		if (e.used > item->used)
			item->used = e.used;
	}
}

bool cache_item_fill(struct ovbd_cache *c, const char *name, struct cache_file *f,
                     struct ovbd_cache_item *ret)
{
	*ret = (struct ovbd_cache_item){.name = name, .pinned = cache_is_pinned(c, name)};
	if (!cache_file_peek(c, name, f)) {
		if (ret->pinned && !cache_has_map(c, name)) {
			read_pin(c, name, f->header.key);
			ret->key = f->header.key;
		}
		return false;
	}
	ret->key = f->header.key;
	ret->size = f->header.blob_size;
	ret->chunk_size = f->header.chunk_size;
	ret->disk = disk_of(f->map_fd) + disk_of(f->data_fd);
	ret->in_use = cache_is_in_use(f->map_fd);
	count_chunks(f, ret);
	ret->whole = ret->present == ret->size && cache_whole_is_marked(f);
	return true;
}

struct listing {
	struct ovbd_cache *c;
	ovbd_cache_item_fn one;
	void *ctx;
};

static int list_one(void *ctx, const char *name)
{
	const struct listing *l = ctx;
	struct ovbd_cache_item item;
	struct cache_file f;

	if (cache_item_fill(l->c, name, &f, &item))
		cache_file_unpeek(&f);
	return l->one(l->ctx, &item);
}

int ovbd_cache_list(struct ovbd_cache *c, ovbd_cache_item_fn one, void *ctx, struct ovbd_error *err)
{
	struct listing l = {.c = c, .one = one, .ctx = ctx};

	return cache_each_name(c, list_one, &l, err);
}

void cache_map_diagnose(const struct ovbd_cache *c, const char *name, struct ovbd_error *ret)
{
	char path[PATH_SIZE];
	AUTO_FD fd = openat(c->dir_fd, path_of(path, name, "map"), O_RDONLY | O_CLOEXEC);
	uint8_t buf[CACHE_HEADER_SIZE];
	struct cache_header h;

	ret->msg[0] = '\0';
	if (fd < 0)
		ovbd_fail_errno(ret, -errno, "the map cannot be opened");
	else if (pread(fd, buf, sizeof(buf), 0) != sizeof(buf))
		ovbd_fail(ret, -EBADMSG, "the map has no whole header");
	else if (cache_header_decode(buf, &h, ret) < 0)
		ovbd_fail_within(ret, -EBADMSG, "the map");
	else
		ovbd_fail(ret, -EBADMSG, "the data file cannot be opened");
}

/* Under open_lock, with the directory held. */
static bool remove_pair(struct ovbd_cache *c, const char *name)
{
	char map[PATH_SIZE], data[PATH_SIZE];
	AUTO_FD fd = openat(c->dir_fd, path_of(map, name, "map"), O_RDWR | O_CLOEXEC);

	if (fd >= 0 && !cache_in_use_by_none(fd))
		return false;
	cache_whole_forget(c, name);
	unlinkat(c->dir_fd, map, 0);
	unlinkat(c->dir_fd, path_of(data, name, "data"), 0);
	return true;
}

bool cache_remove_unreadable(struct ovbd_cache *c, const char *name)
{
	bool gone = false;
	struct cache_file f;

	pthread_mutex_lock(&c->open_lock);
	if (cache_dir_hold(c)) {
		if (!cache_file_peek(c, name, &f))
			gone = remove_pair(c, name);
		else
			cache_file_unpeek(&f);
		cache_dir_let_go(c);
	}
	pthread_mutex_unlock(&c->open_lock);
	return gone;
}

void cache_mend(struct ovbd_cache *c, const char *name)
{
	struct cache_file f;

	pthread_mutex_lock(&c->open_lock);
	if (cache_dir_hold(c)) {
		if (cache_file_peek(c, name, &f)) {
			cache_file_mend(&f);
			cache_file_unpeek(&f);
		}
		cache_dir_let_go(c);
	}
	pthread_mutex_unlock(&c->open_lock);
}

void cache_sweep(struct ovbd_cache *c)
{
	const struct dirent *e;
	DIR *d;

	pthread_mutex_lock(&c->open_lock);
	d = cache_dir_hold(c) ? open_dir(c) : NULL;
	while (d && (e = readdir(d))) {
		char name[CACHE_NAME_SIZE];

		if (split(e->d_name, "part", name) || split(e->d_name, "mark", name) ||
		    ((split(e->d_name, "data", name) || split(e->d_name, "whole", name)) &&
		     !cache_has_map(c, name)))
			unlinkat(c->dir_fd, e->d_name, 0);
	}
	if (d)
		closedir(d);
	cache_dir_let_go(c);
	pthread_mutex_unlock(&c->open_lock);
}

int ovbd_cache_pin(struct ovbd_cache *c, const char *name, const char *key, bool pin,
                   struct ovbd_error *err)
{
	char path[PATH_SIZE];
	AUTO_FD fd = -1;

	path_of(path, name, "pin");
	if (!pin)
		return unlinkat(c->dir_fd, path, 0) == 0 || errno == ENOENT
		               ? 0
		               : ovbd_fail_errno(err, -errno, "%s/%s", c->path, path);
	fd = openat(c->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, key, strlen(key)) < 0 || fsync(fd) < 0 || fsync(c->dir_fd) < 0)
		return ovbd_fail_errno(err, -errno, "%s/%s", c->path, path);
	return 0;
}
