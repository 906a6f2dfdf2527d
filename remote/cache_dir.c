// SPDX-License-Identifier: Apache-2.0
/*
 * The directory. How many bytes it takes is a number in the file "lock", for all processes: each
 * takes a part of what is left before it stores anything, and asks again when that is used up. The
 * number is only an estimate that must not be too low for long (a process may end with its part
 * unused); who evicts counts the blocks of all files, and sets it right.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/bytes.h"
#include "remote/cache_impl.h"

#define SUBDIR       "ovbd-cache-1"
#define HOLD_WAIT_MS 2000
#define HOLD_POLL_MS 5
#define PARTS        128u /* a process takes such a part of the whole at a time */
#define PART_MAX     (UINT64_C(64) << 20)

#define LOCK_DIR   0 /* bytes of the file "lock" that are locked */
#define LOCK_COUNT 1
#define LOCK_EVICT 2

uint64_t cache_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint32_t cache_now_s(void)
{
	return (uint32_t)time(NULL);
}

void cache_name(const char *key, char ret[CACHE_NAME_SIZE])
{
	unsigned char md[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)key, strlen(key), md);
	for (size_t i = 0; i < sizeof(md); i++)
		snprintf(ret + 2 * i, 3, "%02x", md[i]);
}

static bool set_lock(int fd, short type, int64_t off, int64_t n)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)off,
		.l_len = (off_t)n,
	};

	return fcntl(fd, F_OFD_SETLK, &fl) == 0;
}

bool cache_lock_try(int fd, int64_t off, int64_t n)
{
	return set_lock(fd, F_WRLCK, off, n);
}

void cache_unlock(int fd, int64_t off, int64_t n)
{
	set_lock(fd, F_UNLCK, off, n);
}

static bool lock_soon(int fd, int64_t off)
{
	const struct timespec poll = {.tv_nsec = HOLD_POLL_MS * 1000000L};

	for (unsigned waited = 0; waited <= HOLD_WAIT_MS; waited += HOLD_POLL_MS) {
		if (cache_lock_try(fd, off, 1))
			return true;
		if (errno != EAGAIN && errno != EACCES)
			return false;
		nanosleep(&poll, NULL);
	}
	return false;
}

/* The byte before the chunks' locks. */
#define USE_AT (CACHE_LOCK_AT - 1)

void cache_in_use(int map_fd)
{
	set_lock(map_fd, F_RDLCK, USE_AT, 1);
}

bool cache_is_in_use(int map_fd)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = USE_AT, .l_len = 1};

	return fcntl(map_fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

bool cache_in_use_by_none(int map_fd)
{
	return cache_lock_try(map_fd, USE_AT, 1);
}

bool cache_dir_hold(struct ovbd_cache *c)
{
	return lock_soon(c->lock_fd, LOCK_DIR);
}

void cache_dir_let_go(struct ovbd_cache *c)
{
	cache_unlock(c->lock_fd, LOCK_DIR, 1);
}

int cache_dir_open(struct ovbd_cache *c, const char *dir, bool make, struct ovbd_error *err)
{
	AUTO_FD parent = -1;

	if (asprintf(&c->path, "%s/%s", dir, SUBDIR) < 0) {
		c->path = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return ovbd_fail_errno(err, -errno, "%s: cannot make the cache's directory", dir);
	parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return ovbd_fail_errno(err, -errno, "%s: cannot open the cache's directory", dir);
	if (make && mkdirat(parent, SUBDIR, 0700) < 0 && errno != EEXIST)
		return ovbd_fail_errno(err, -errno, "%s: cannot make it", c->path);
	c->dir_fd = openat(parent, SUBDIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir_fd < 0)
		return ovbd_fail_errno(err, -errno, "%s: cannot open it", c->path);
	c->lock_fd = openat(c->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock_fd < 0)
		return ovbd_fail_errno(err, -errno, "%s/lock: cannot open it", c->path);
	if (make)
		cache_recount(c);
	return 0;
}

/* The bytes that all files take on disk. */
static uint64_t count_blocks(const struct ovbd_cache *c)
{
	const int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	uint64_t sum = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((e = readdir(d))) {
		struct stat st;

		if (fstatat(c->dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_blocks * 512;
	}
	closedir(d);
	return sum;
}

/* What all together may have stored. Damaged, it is made right by the next who
 * evicts. */
static uint64_t count_load(const struct ovbd_cache *c)
{
	uint8_t buf[8];

	return pread(c->lock_fd, buf, sizeof(buf), 0) == sizeof(buf) ? ovbd_get_le64(buf) : 0;
}

static void count_store(struct ovbd_cache *c, uint64_t used)
{
	uint8_t buf[8];

	ovbd_put_le64(buf, used);
	if (pwrite(c->lock_fd, buf, sizeof(buf), 0) != sizeof(buf))
		cache_trouble(c, -errno, "lock");
	atomic_store(&c->used, used);
}

/* The count is this thread's alone, or it took too long. */
static bool count_hold(struct ovbd_cache *c)
{
	pthread_mutex_lock(&c->count_lock);
	if (lock_soon(c->lock_fd, LOCK_COUNT))
		return true;
	pthread_mutex_unlock(&c->count_lock);
	return false;
}

static void count_let_go(struct ovbd_cache *c)
{
	cache_unlock(c->lock_fd, LOCK_COUNT, 1);
	pthread_mutex_unlock(&c->count_lock);
}

uint64_t cache_recount(struct ovbd_cache *c)
{
	uint64_t used;

	if (!count_hold(c))
		return count_blocks(c);
	pthread_mutex_lock(&c->lock);
	used = c->quota; /* what others have taken and not used yet is not known */
	pthread_mutex_unlock(&c->lock);
	used += count_blocks(c);
	count_store(c, used);
	count_let_go(c);
	return used;
}

bool cache_evict_begin(struct ovbd_cache *c)
{
	return cache_lock_try(c->lock_fd, LOCK_EVICT, 1);
}

void cache_evict_end(struct ovbd_cache *c)
{
	cache_unlock(c->lock_fd, LOCK_EVICT, 1);
}

/* Takes *len bytes, or some more, out of what is left. */
static bool take_part(struct ovbd_cache *c, uint64_t *len)
{
	const uint64_t part = ovbd_min(c->params.size_max / PARTS, PART_MAX);
	const uint64_t want = part > *len ? part : *len;
	uint64_t used;
	bool room;

	if (!count_hold(c))
		return false;
	used = count_load(c);
	room = used <= c->params.size_max && c->params.size_max - used >= want;
	if (room)
		count_store(c, used + want);
	count_let_go(c);
	/* before it is full, so that it will not be */
	if (used + want > c->params.size_max / 100 * c->params.high_percent) {
		pthread_mutex_lock(&c->lock);
		c->crowded = true;
		pthread_cond_broadcast(&c->work);
		pthread_mutex_unlock(&c->lock);
	}
	*len = want;
	return room;
}

bool cache_quota_take(struct ovbd_cache *c, uint64_t len)
{
	uint64_t more = len;
	bool ok;

	pthread_mutex_lock(&c->lock);
	ok = c->quota >= len;
	if (ok)
		c->quota -= len;
	pthread_mutex_unlock(&c->lock);
	if (ok || !take_part(c, &more))
		return ok;
	pthread_mutex_lock(&c->lock);
	c->quota += more - len;
	pthread_mutex_unlock(&c->lock);
	return true;
}

void cache_trouble(struct ovbd_cache *c, int code, const char *what)
{
	struct ovbd_error why;
	bool first;

	ovbd_fail_errno(&why, code, "%s/%s: the cache cannot store", c->path, what);
	pthread_mutex_lock(&c->lock);
	first = c->trouble_ms == 0;
	c->trouble_ms = cache_now_ms();
	c->trouble = why;
	pthread_mutex_unlock(&c->lock);
	if (first && c->params.told)
		c->params.told(c->params.arg, why.msg);
}
