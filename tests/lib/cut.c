// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/cut.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS_MAX 20000u
#define NAME_SIZE 80
#define SECTOR    512u

enum kind { MAKE, MOVE, REMOVE, WRITE, RESIZE, SYNC };

struct step {
	enum kind kind;
	ino_t file; /* a number that no other file has */
	char name[NAME_SIZE], to[NAME_SIZE];
	uint64_t off, len;
	uint8_t *bytes; /* NULL: zeros */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct step steps[STEPS_MAX];
static size_t nsteps;
static bool recording, with_syncs, quick;

#define REAL(type, name, ...) extern type __real_##name(__VA_ARGS__)
REAL(int, openat64, int dir, const char *path, int flags, ...);
REAL(ssize_t, pwrite64, int fd, const void *buf, size_t len, off64_t off);
REAL(int, ftruncate64, int fd, off64_t size);
REAL(int, fallocate64, int fd, int mode, off64_t off, off64_t len);
REAL(int, fdatasync, int fd);
REAL(int, fsync, int fd);
REAL(int, renameat, int from_dir, const char *from, int to_dir, const char *to);
REAL(int, unlinkat, int dir, const char *path, int flags);

/* The number of the file: inodes are used again, so it is when it was made. */
static ino_t file_of(int fd)
{
	static ino_t inodes[STEPS_MAX], numbers[STEPS_MAX];
	static size_t n;
	struct stat st;

	if (fstat(fd, &st) < 0)
		abort();
	for (size_t i = n; i > 0; i--)
		if (inodes[i - 1] == st.st_ino)
			return numbers[i - 1];
	inodes[n] = st.st_ino;
	numbers[n] = n + 1;
	return numbers[n++];
}

static struct step *add(enum kind kind, ino_t file)
{
	struct step *s = &steps[nsteps++];

	if (nsteps == STEPS_MAX)
		abort();
	*s = (struct step){.kind = kind, .file = file};
	return s;
}

/* The file that has the name now; 0: none. */
static ino_t named(const char *name, size_t n)
{
	ino_t file = 0;

	for (size_t i = 0; i < n; i++) {
		const struct step *s = &steps[i];

		if (s->kind == MAKE && strcmp(s->name, name) == 0)
			file = s->file;
		if (s->kind == MOVE && strcmp(s->to, name) == 0)
			file = s->file;
		if ((s->kind == REMOVE || s->kind == MOVE) && strcmp(s->name, name) == 0)
			file = 0;
	}
	return file;
}

int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...)
{
	va_list ap;
	int mode, fd;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, int) : 0;
	va_end(ap);
	pthread_mutex_lock(&lock);
	fd = __real_openat64(dir, path, flags, mode);
	if (recording && fd >= 0 && (flags & O_CREAT)) {
		const ino_t file = file_of(fd);

		if (named(path, nsteps) != file)
			snprintf(add(MAKE, file)->name, NAME_SIZE, "%s", path);
		if (flags & O_TRUNC)
			add(RESIZE, file);
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	ssize_t n;

	pthread_mutex_lock(&lock);
	n = __real_pwrite64(fd, buf, len, off);
	if (recording && n > 0) {
		struct step *s = add(WRITE, file_of(fd));

		s->off = (uint64_t)off;
		s->len = (uint64_t)n;
		s->bytes = malloc((size_t)n);
		memcpy(s->bytes, buf, (size_t)n);
	}
	pthread_mutex_unlock(&lock);
	return n;
}

int __wrap_ftruncate64(int fd, off64_t size);
int __wrap_ftruncate64(int fd, off64_t size)
{
	int r;

	pthread_mutex_lock(&lock);
	r = __real_ftruncate64(fd, size);
	if (recording && r == 0)
		add(RESIZE, file_of(fd))->len = (uint64_t)size;
	pthread_mutex_unlock(&lock);
	return r;
}

/* Holes only. */
int __wrap_fallocate64(int fd, int mode, off64_t off, off64_t len);
int __wrap_fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	int r;

	pthread_mutex_lock(&lock);
	r = __real_fallocate64(fd, mode, off, len);
	if (recording && r == 0) {
		struct step *s = add(WRITE, file_of(fd));

		s->off = (uint64_t)off;
		s->len = (uint64_t)len;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static int sync_with(int fd, int (*real)(int fd))
{
	int r;

	if (quick)
		return 0;
	pthread_mutex_lock(&lock);
	r = real(fd);
	if (recording && r == 0 && with_syncs)
		add(SYNC, file_of(fd));
	pthread_mutex_unlock(&lock);
	return r;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return sync_with(fd, __real_fdatasync);
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return sync_with(fd, __real_fsync);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	int r;

	pthread_mutex_lock(&lock);
	r = __real_renameat(from_dir, from, to_dir, to);
	if (recording && r == 0) {
		struct step *s = add(MOVE, named(from, nsteps));

		snprintf(s->name, NAME_SIZE, "%s", from);
		snprintf(s->to, NAME_SIZE, "%s", to);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags)
{
	int r;

	pthread_mutex_lock(&lock);
	r = __real_unlinkat(dir, path, flags);
	if (recording && r == 0)
		snprintf(add(REMOVE, 0)->name, NAME_SIZE, "%s", path);
	pthread_mutex_unlock(&lock);
	return r;
}

void test_cut_record(bool syncs)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < nsteps; i++)
		free(steps[i].bytes);
	nsteps = 0;
	with_syncs = syncs;
	recording = true;
	quick = false;
	pthread_mutex_unlock(&lock);
}

size_t test_cut_stop(void)
{
	pthread_mutex_lock(&lock);
	recording = false;
	quick = true;
	pthread_mutex_unlock(&lock);
	return nsteps;
}

size_t test_cut_idle_syncs(void)
{
	size_t n = 0;

	for (size_t i = 0; i < nsteps; i++) {
		size_t k = i;

		if (steps[i].kind != SYNC)
			continue;
		while (k > 0 && steps[k - 1].file != steps[i].file)
			k--;
		n += k == 0 || steps[k - 1].kind == SYNC;
	}
	return n;
}

/* ---- what is left ---- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

enum fate { ARRIVED, LOST, ZEROS, TORN, NFATES };

struct content {
	uint8_t *p;
	size_t size, room;
};

static void resize(struct content *c, size_t size)
{
	if (size > c->room) {
		c->p = realloc(c->p, size);
		c->room = size;
	}
	if (size > c->size)
		memset(c->p + c->size, 0, size - c->size);
	c->size = size;
}

static void apply(struct content *c, const struct step *s, enum fate fate, uint64_t *random)
{
	if (fate == LOST)
		return;
	if (s->kind == RESIZE) {
		resize(c, (size_t)s->len);
		return;
	}
	if (s->off + s->len > c->size)
		resize(c, (size_t)(s->off + s->len));
	for (uint64_t at = 0; at < s->len;) {
		const uint64_t left = SECTOR - (s->off + at) % SECTOR;
		const size_t n = (size_t)(left < s->len - at ? left : s->len - at);

		if (fate == ZEROS || !s->bytes)
			memset(c->p + s->off + at, 0, n);
		else if (fate == ARRIVED || next_random(random) % 2)
			memcpy(c->p + s->off + at, s->bytes + at, n);
		at += n;
	}
}

static void make_file(const char *path, ino_t file, size_t n, int luck, uint64_t *random)
{
	struct content c = {0};
	size_t synced = 0;
	FILE *f;

	for (size_t i = 0; i < n; i++)
		if (steps[i].kind == SYNC && steps[i].file == file)
			synced = i;
	for (size_t i = 0; i < n; i++) {
		const enum fate fate = i < synced ? ARRIVED
		                       : luck < 2 ? (enum fate)luck
		                                  : (enum fate)(next_random(random) % NFATES);

		if (steps[i].file == file && (steps[i].kind == WRITE || steps[i].kind == RESIZE))
			apply(&c, &steps[i], fate, random);
	}
	f = fopen(path, "we");
	if (!f || (c.size && fwrite(c.p, 1, c.size, f) != c.size) || fclose(f) != 0)
		abort();
	free(c.p);
}

void test_cut_make(const char *dir, size_t n, uint64_t *random)
{
	const int luck = (int)(next_random(random) % 4); /* all arrived, all lost, or anything */
	const bool all = next_random(random) % 3 != 0;
	const size_t names = all ? n : (size_t)(next_random(random) % (n + 1));

	for (size_t i = 0; i < names; i++) {
		const char *name = steps[i].kind == MAKE ? steps[i].name : steps[i].to;
		const ino_t file = name[0] ? named(name, names) : 0;
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (file && access(path, F_OK) < 0)
			make_file(path, file, n, luck, random);
	}
}
