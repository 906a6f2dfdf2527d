// SPDX-License-Identifier: Apache-2.0
/*
 * Three processes read four blobs through one directory with room for a third of them, and are
 * killed at any moment, now and then all at once; then bits of the files are flipped, and files are
 * cut. None ever reads a wrong byte, the directory does not grow beyond its limit, and who verifies
 * it finds no damage before, and all of it afterwards.
 *
 *     prop_remote_cache          60 kills
 *     prop_remote_cache N SEED   so many, from this seed
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "remote/cache_impl.h"
#include "tests/lib/source.h"

#define CHUNK   (16u << 10)
#define SIZE    (100u * CHUNK + 77)
#define NBLOBS  4u
#define LIMIT   (128u * CHUNK)
#define NKIDS   3u
#define WRONG   9
#define TROUBLE 8

static char dir[64];
static unsigned nkills = 60;
static uint64_t seed = 1;

static void open_all(struct test_source *sources, struct ovbd_blob **blobs, struct ovbd_cache **c)
{
	const struct ovbd_cache_params p = {.size_max = LIMIT, .chunk_size = CHUNK};

	if (ovbd_cache_open(dir, &p, c, NULL) < 0)
		_exit(TROUBLE);
	for (unsigned i = 0; i < NBLOBS; i++) {
		char key[] = {(char)('a' + i), '\0'};

		test_source_init(&sources[i], SIZE, i);
		sources[i].delay_us = 300;
		if (ovbd_cache_blob_open(*c, key, &sources[i].blob, &blobs[i], NULL) < 0)
			_exit(TROUBLE);
	}
}

/* Reads until it is killed; exits with WRONG. */
static void live(uint64_t random)
{
	struct test_source sources[NBLOBS];
	struct ovbd_blob *blobs[NBLOBS];
	struct ovbd_cache *c;
	static uint8_t buf[8 * CHUNK];

	open_all(sources, blobs, &c);
	for (;;) {
		const unsigned i = (unsigned)(test_random(&random) % NBLOBS);
		const uint64_t off = test_random(&random) % (SIZE - sizeof(buf));
		const size_t len = 1 + test_random(&random) % sizeof(buf);

		if (ovbd_blob_pread(blobs[i], buf, len, off, NULL) < 0)
			_exit(TROUBLE);
		if (!test_source_is(&sources[i], buf, len, off))
			_exit(WRONG);
	}
}

static pid_t give_birth(uint64_t *random)
{
	const uint64_t r = test_random(random);
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if a test has failed */
		live(r);
	}
	return pid;
}

static void kill_one(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		fail_msg("seed %llu: a process ended with %d%s", (unsigned long long)seed,
		         WEXITSTATUS(status), WEXITSTATUS(status) == WRONG ? ": wrong bytes" : "");
}

/* A bit, or the end, of a file. */
static void damage(const char *path, uint64_t *random)
{
	AUTO_FD fd = open(path, O_RDWR);
	struct stat st;
	uint64_t at;
	uint8_t byte;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		return;
	at = test_random(random) % (uint64_t)st.st_size;
	if (test_random(random) % 3 == 0) {
		assert_int_equal(ftruncate(fd, (off_t)at), 0);
	} else if (pread(fd, &byte, 1, (off_t)at) == 1) {
		byte ^= (uint8_t)(1u << test_random(random) % 8);
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
}

/* Bytes on disk; with random, damages some files. */
static uint64_t walk(uint64_t *random)
{
	char inner[128], path[512];
	const struct dirent *e;
	uint64_t sum = 0;
	DIR *d;

	snprintf(inner, sizeof(inner), "%s/ovbd-cache-1", dir);
	d = opendir(inner);
	while (d && (e = readdir(d))) {
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", inner, e->d_name);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_blocks * 512;
		if (random && e->d_name[0] != '.' && test_random(random) % 2)
			damage(path, random);
	}
	if (d)
		closedir(d);
	return sum;
}

static void check_size(void)
{
	const uint64_t used = walk(NULL);

	if (used > LIMIT + LIMIT / 20 + (64u << 10))
		fail_msg("seed %llu: %llu bytes, the limit is %u", (unsigned long long)seed,
		         (unsigned long long)used, LIMIT);
}

static int note_damage(void *ctx, const struct ovbd_cache_item *item,
                       const struct ovbd_cache_damage *d)
{
	unsigned *n = ctx;

	(void)item;
	*n += d->what.msg[0] != '\0';
	return 0;
}

/* How many blobs are damaged. */
static unsigned verify(bool repair)
{
	struct ovbd_cache *c = NULL;
	struct ovbd_error err;
	unsigned n = 0;

	assert_ok(ovbd_cache_attach(dir, &c, &err), err);
	assert_ok(ovbd_cache_verify(c, repair, note_damage, &n, &err), err);
	ovbd_cache_close(c);
	return n;
}

static void test_kills(void **state)
{
	uint64_t random = seed;
	pid_t kids[NKIDS];

	(void)state;
	for (unsigned i = 0; i < NKIDS; i++)
		kids[i] = give_birth(&random);
	for (unsigned k = 0; k < nkills; k++) {
		const unsigned i = (unsigned)(test_random(&random) % NKIDS);

		if (k % 24 == 20) /* long enough for a chunk to be evicted wholly */
			sleep(5);
		usleep((useconds_t)(test_random(&random) % 250000));
		check_size();
		kill_one(kids[i]);
		if (k % 12 == 11) {
			for (unsigned o = 0; o < NKIDS; o++)
				if (o != i)
					kill_one(kids[o]);
			/* being killed leaves no damage; what came of the last walk() is mended */
			if (verify(k % 24 == 11) != 0 && k % 24 == 23)
				fail_msg("seed %llu: being killed has left damage",
				         (unsigned long long)seed);
			if (k % 24 == 23)
				walk(&random);
			for (unsigned o = 0; o < NKIDS; o++)
				if (o != i)
					kids[o] = give_birth(&random);
		}
		kids[i] = give_birth(&random);
	}
	for (unsigned i = 0; i < NKIDS; i++)
		kill_one(kids[i]);
}

/* Afterwards all is there, and what is wrong is found. */
static void test_afterwards(void **state)
{
	AUTO_FREE uint8_t *buf = malloc(SIZE);
	struct test_source sources[NBLOBS];
	struct ovbd_blob *blobs[NBLOBS];
	struct ovbd_cache *c;

	(void)state;
	walk(&seed);
	open_all(sources, blobs, &c);
	for (unsigned i = 0; i < NBLOBS; i++) {
		assert_int_equal(ovbd_blob_pread(blobs[i], buf, SIZE, 0, NULL), 0);
		assert_true(test_source_is(&sources[i], buf, SIZE, 0));
		ovbd_blob_close(blobs[i]);
	}
	ovbd_cache_close(c);
	check_size();
}

/* One damage to what somebody would read: a bit of a chunk that is there, or of its entry; a bit of
 * the header; the end of a file. */
static void damage_one(const char *name, uint64_t *random)
{
	struct ovbd_cache *c = NULL;
	struct cache_file f;
	uint64_t chunk, at = 0;
	uint8_t byte;
	int fd;

	assert_int_equal(ovbd_cache_attach(dir, &c, NULL), 0);
	assert_true(cache_file_peek(c, name, &f));
	fd = test_random(random) % 2 ? f.map_fd : f.data_fd;
	if (test_random(random) % 4 == 0) {
		const uint64_t size = fd == f.map_fd ? cache_entry_at(f.nchunks) : SIZE;

		assert_int_equal(ftruncate(fd, (off_t)(test_random(random) % size)), 0);
	} else {
		do
			chunk = test_random(random) % f.nchunks;
		while (!cache_entry_load(&f, chunk).present);
		if (fd == f.data_fd)
			at = cache_chunk_off(&f, chunk) +
			     test_random(random) % cache_chunk_len(&f, chunk);
		else if (test_random(random) % 2)
			at = cache_entry_at(chunk) + test_random(random) % CACHE_OFF_USED;
		else
			at = test_random(random) % CACHE_HEADER_SIZE;
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		byte ^= (uint8_t)(1u << test_random(random) % 8);
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	cache_file_unpeek(&f);
	ovbd_cache_close(c);
}

static void fill(void)
{
	AUTO_FREE uint8_t *buf = malloc(SIZE);
	struct test_source sources[NBLOBS];
	struct ovbd_blob *blobs[NBLOBS];
	struct ovbd_cache *c;

	open_all(sources, blobs, &c);
	for (unsigned i = 0; i < NBLOBS; i++) {
		assert_int_equal(ovbd_blob_pread(blobs[i], buf, SIZE / 6, 0, NULL), 0);
		assert_true(test_source_is(&sources[i], buf, SIZE / 6, 0));
		ovbd_blob_close(blobs[i]);
	}
	ovbd_cache_close(c);
}

/* Each damage is found, alone, and mended. */
static void test_verify(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s/ovbd-cache-1", dir);
	assert_int_equal(system(command), 0);
	for (unsigned i = 0; i < nkills; i++) {
		const char key[] = {(char)('a' + test_random(&seed) % NBLOBS), '\0'};
		char name[CACHE_NAME_SIZE];

		if (i % 8 == 0)
			fill();
		cache_name(key, name);
		if (i % 8 == 0)
			assert_int_equal(verify(false), 0);
		damage_one(name, &seed);
		if (verify(false) != 1)
			fail_msg("damage %u of %s is not found", i, name);
		assert_int_equal(verify(true), 1);
		assert_int_equal(verify(false), 0);
		fill();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_afterwards),
		cmocka_unit_test(test_verify),
	};
	char command[128];
	int r;

	if (argc == 3) {
		nkills = (unsigned)strtoul(argv[1], NULL, 0);
		seed = strtoull(argv[2], NULL, 0);
	}
	snprintf(dir, sizeof(dir), "cache.%d.XXXXXX", (int)getpid());
	if (!mkdtemp(dir))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 1 : r;
}
