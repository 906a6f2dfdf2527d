// SPDX-License-Identifier: Apache-2.0
/*
 * The FUSE transport with the real kernel: a blob of a known pattern is mounted, and read in every
 * way in which a kernel asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "daemon/fuse.h"
#include "daemon/serve.h"
#include "tests/lib/fault.h"

#define SIZE      (5 * 1024 * 1024 + 777)
#define BAD_OFF   (3 * 1024 * 1024) /* one page that cannot be read */
#define BAD_LEN   4096
#define NWORKERS  4
#define MAX_DEPTH 8

static uint8_t pattern_at(uint64_t off)
{
	return (uint8_t)((off * 0x9e3779b97f4a7c15u) >> 56);
}

/* Reads as the pattern, and as an error of choice in one page. */
struct pattern_blob {
	struct ovbd_blob blob;
	_Atomic int bad_code; /* 0: the page is as good as any */
};

static int pattern_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	const struct pattern_blob *p = OVBD_CONTAINER_OF(b, struct pattern_blob, blob);
	uint8_t *dst = buf;

	if (p->bad_code < 0 && off < BAD_OFF + BAD_LEN && off + len > BAD_OFF)
		return ovbd_fail(err, p->bad_code, "the bad page");
	for (size_t i = 0; i < len; i++)
		dst[i] = pattern_at(off + i);
	return 0;
}

static void pattern_close(struct ovbd_blob *b)
{
	(void)b;
}

static const struct ovbd_blob_ops pattern_ops = {
	.name = "pattern",
	.pread = pattern_pread,
	.close = pattern_close,
};

/* A served file, and the thread that serves it. */
struct fixture {
	char dir[64], path[96];
	struct pattern_blob blob;
	struct ovbd_transport *t;
	struct ovbd_serve_stats stats;
	pthread_t thread;
	int code;
	struct ovbd_error err;
};

static void *serve_main(void *arg)
{
	struct fixture *x = arg;
	const struct ovbd_serve_params p = {.nworkers = NWORKERS, .stats = &x->stats};

	struct ovbd_device device = {.blob = &x->blob.blob};

	x->code = ovbd_serve(x->t, &device, &p, &x->err);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct ovbd_fuse_params p = {.nworkers = NWORKERS, .size = SIZE};
	int r;

	assert_non_null(x);
	strcpy(x->dir, "/tmp/ovbd-unit-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	snprintf(x->path, sizeof(x->path), "%s/a file", x->dir);
	x->blob.blob = (struct ovbd_blob){.ops = &pattern_ops, .size = SIZE};
	p.path = x->path;
	r = ovbd_fuse_open(&p, &x->t, &x->err);
	if (r < 0)
		fail_msg("%s", x->err.msg);
	assert_int_equal(pthread_create(&x->thread, NULL, serve_main, x), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	if (x->t->ops->detach(x->t, NULL) != 0)
		x->t->ops->stop(x->t);
	pthread_join(x->thread, NULL);
	assert_int_equal(x->code, 0);
	x->t->ops->close(x->t);
	assert_int_equal(rmdir(x->dir), 0); /* the file is gone */
	free(x);
	return 0;
}

static void check_range(const uint8_t *buf, size_t len, uint64_t off)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != pattern_at(off + i))
			fail_msg("byte %zu is %02x, not %02x", (size_t)off + i, buf[i],
			         pattern_at(off + i));
}

static int open_file(const struct fixture *x, int flags)
{
	const int fd = open(x->path, O_RDONLY | O_CLOEXEC | flags);

	assert_true(fd >= 0);
	return fd;
}

static void test_stat(void **state)
{
	const struct fixture *x = *state;
	struct stat st;

	assert_int_equal(stat(x->path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_uid, getuid());
	assert_int_equal(open(x->path, O_RDWR), -1);
	assert_int_equal(errno, EROFS);
}

static void test_read_all(void **state)
{
	struct fixture *x = *state;
	AUTO_FD fd = open_file(x, 0);
	AUTO_FREE uint8_t *buf = malloc(SIZE + 1);

	assert_non_null(buf);
	assert_int_equal(read(fd, buf, SIZE + 1), SIZE);
	check_range(buf, SIZE, 0);
	assert_int_equal(read(fd, buf, 1), 0);
	assert_true(x->stats.bytes >= SIZE);

	/* The page cache answers from now on, for those who open it later too. (Unless somebody
	 * on this machine drops it.) */
	for (int tries = 0; tries < 10; tries++) {
		const uint64_t reads = x->stats.reads;
		AUTO_FD again = open_file(x, 0);

		assert_int_equal(pread(again, buf, SIZE, 0), SIZE);
		if (x->stats.reads == reads)
			return;
	}
	fail_msg("nothing is kept");
}

static void test_direct(void **state)
{
	static const struct {
		size_t len;
		off_t off;
	} cases[] = {
		{4096, 0},
		{4096, 4096},
		{1 << 20, 1 << 20},
		{2 << 20, 0},
		{1 << 20, 5 << 20},
		{512, 512},
		{4096, SIZE - SIZE % 4096},
		{4096, SIZE - SIZE % 512},
	};
	struct fixture *x = *state;
	AUTO_FD fd = open_file(x, O_DIRECT);
	AUTO_FREE uint8_t *buf = aligned_alloc(4096, 2 << 20);

	assert_non_null(buf);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t left = (size_t)(SIZE - cases[i].off);
		const size_t want = cases[i].len < left ? cases[i].len : left;

		assert_int_equal(pread(fd, buf, cases[i].len, cases[i].off), want);
		check_range(buf, want, (uint64_t)cases[i].off);
	}
	assert_int_equal(pread(fd, buf, 4096, 8 << 20), 0);
}

static void test_large_requests(void **state)
{
	struct fixture *x = *state;
	AUTO_FD fd = open_file(x, O_DIRECT);
	AUTO_FREE uint8_t *buf = aligned_alloc(4096, 4 << 20);

	assert_non_null(buf);
	assert_int_equal(pread(fd, buf, 4 << 20, 0), 4 << 20);
	assert_int_equal(x->stats.reads, 4); /* of 1 MiB */
}

static void test_mmap(void **state)
{
	struct fixture *x = *state;
	AUTO_FD fd = open_file(x, 0);
	uint8_t *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	check_range(map, SIZE, 0);
	munmap(map, SIZE);
}

struct reader {
	const struct fixture *x;
	pthread_t thread;
	uint64_t seed;
	bool ok;
};

static void *reader_main(void *arg)
{
	struct reader *rd = arg;
	AUTO_FREE uint8_t *buf = aligned_alloc(4096, 65536);
	AUTO_FD fd = open(rd->x->path, O_RDONLY | O_CLOEXEC | (rd->seed & 1 ? O_DIRECT : 0));

	rd->ok = fd >= 0 && buf;
	for (int i = 0; rd->ok && i < 200; i++) {
		rd->seed = rd->seed * 6364136223846793005u + 1442695040888963407u;

		const uint64_t off = (rd->seed >> 33) % SIZE & ~UINT64_C(4095);
		const ssize_t n = pread(fd, buf, 65536, (off_t)off);

		rd->ok = n == (ssize_t)(SIZE - off < 65536 ? SIZE - off : 65536);
		for (ssize_t k = 0; rd->ok && k < n; k++)
			rd->ok = buf[k] == pattern_at(off + (uint64_t)k);
	}
	return NULL;
}

static void test_many_readers(void **state)
{
	struct reader readers[MAX_DEPTH];

	for (uint64_t i = 0; i < MAX_DEPTH; i++) {
		readers[i] = (struct reader){.x = *state, .seed = i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]),
		                 0);
	}
	for (int i = 0; i < MAX_DEPTH; i++)
		pthread_join(readers[i].thread, NULL);
	for (int i = 0; i < MAX_DEPTH; i++)
		assert_true(readers[i].ok);
}

static void test_errors(void **state)
{
	static const struct {
		int code, seen;
	} cases[] = {
		{-EIO, EIO},       {-EBADMSG, EBADMSG}, {-ETIMEDOUT, ETIMEDOUT},
		{-ESTALE, ESTALE}, {-EACCES, EACCES},   {-EAGAIN, EIO},
		{-1000, EIO},
	};
	struct fixture *x = *state;
	AUTO_FD fd = open_file(x, O_DIRECT), cached = open_file(x, 0);
	AUTO_FREE uint8_t *buf = aligned_alloc(4096, 8192);

	assert_non_null(buf);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		x->blob.bad_code = cases[i].code;
		assert_int_equal(pread(fd, buf, 4096, BAD_OFF), -1);
		assert_int_equal(errno, cases[i].seen);
		assert_int_equal(pread(fd, buf, 4096, BAD_OFF - 4096), 4096);
		check_range(buf, 4096, BAD_OFF - 4096);
		assert_int_equal(pread(cached, buf, 4096, BAD_OFF), -1);
	}
	assert_true(x->stats.failed >= 2 * sizeof(cases) / sizeof(cases[0]));

	/* An error is not remembered. */
	x->blob.bad_code = 0;
	assert_int_equal(pread(cached, buf, 8192, BAD_OFF), 8192);
	check_range(buf, 8192, BAD_OFF);
}

static void test_detach_while_open(void **state)
{
	struct fixture *x = *state;
	uint8_t buf[4096];
	int fd = open_file(x, 0);

	assert_int_equal(x->t->ops->detach(x->t, NULL), 1);
	assert_int_equal(access(x->path, F_OK), -1);
	assert_int_equal(pread(fd, buf, sizeof(buf), 1 << 20), sizeof(buf));
	check_range(buf, sizeof(buf), 1 << 20);
	close(fd); /* the last user: the server ends by itself */
	pthread_join(x->thread, NULL);
	if (x->code < 0)
		fail_msg("%s", x->err.msg);
	assert_int_equal(x->t->ops->detach(x->t, NULL), 0);
	assert_int_equal(pthread_create(&x->thread, NULL, serve_main, x), 0); /* for teardown */
}

static void test_stop_while_open(void **state)
{
	struct fixture *x = *state;
	uint8_t buf[4096];
	AUTO_FD fd = open_file(x, 0);

	x->t->ops->stop(x->t);
	x->t->ops->stop(x->t);
	pthread_join(x->thread, NULL);
	assert_int_equal(x->code, 0);
	x->t->ops->close(x->t);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, ENOTCONN);
	rmdir(x->dir);
	assert_int_equal(setup(state), 0); /* for teardown */
	free(x);
}

static void *read_until_error(void *arg)
{
	const struct fixture *x = arg;
	AUTO_FD fd = open(x->path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	AUTO_FREE uint8_t *buf = aligned_alloc(4096, 4096);

	for (uint64_t off = 0; pread(fd, buf, 4096, (off_t)off) > 0;
	     off = (off + 4096) % (SIZE / 2))
		;
	return NULL;
}

/* Workers may be about to wait, waiting, or busy when they are told to end. */
static void test_stop_any_time(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < 100; i++) {
		const struct timespec pause = {.tv_nsec = (long)(i * 7919 % 500) * 1000};
		pthread_t reader;

		if (i % 2)
			assert_int_equal(pthread_create(&reader, NULL, read_until_error, x), 0);
		nanosleep(&pause, NULL);
		x->t->ops->stop(x->t);
		pthread_join(x->thread, NULL);
		assert_int_equal(x->code, 0);
		x->t->ops->close(x->t);
		if (i % 2)
			pthread_join(reader, NULL);
		rmdir(x->dir);
		assert_int_equal(setup(state), 0);
		free(x);
		x = *state;
	}
}

static void test_second_server(void **state)
{
	const struct fixture *x = *state;
	const struct ovbd_fuse_params p = {.path = x->path, .size = 1, .nworkers = 1};
	struct ovbd_transport *t;
	struct ovbd_error err;

	assert_int_equal(ovbd_fuse_open(&p, &t, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "another server has it"));
}

static void refused(const char *path, int code, const char *words)
{
	const struct ovbd_fuse_params p = {.path = path, .size = 1, .nworkers = 1};
	struct ovbd_transport *t;
	struct ovbd_error err;

	assert_int_equal(ovbd_fuse_open(&p, &t, &err), code);
	if (!strstr(err.msg, words))
		fail_msg("\"%s\" has no \"%s\"", err.msg, words);
}

static void test_bad_places(void **state)
{
	const struct fixture *x = *state;
	char path[128];

	refused(x->dir, -EISDIR, "is a directory");
	refused("/dev/null", -EEXIST, "not a regular file");
	refused("/proc/self/cmdline/x", -ENOTDIR, "/proc/self/cmdline/x");
	snprintf(path, sizeof(path), "%s/no/such", x->dir);
	refused(path, -ENOENT, "No such file");

	snprintf(path, sizeof(path), "%s/full", x->dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("words", f);
	fclose(f);
	refused(path, -EEXIST, "holds 5 bytes");
	unlink(path);

	snprintf(path, sizeof(path), "%s/dangling", x->dir);
	assert_int_equal(symlink("nowhere/at-all", path), 0);
	refused(path, -EEXIST, "File exists");
	unlink(path);
}

/* An empty file of the user's own is a place, and is left as it was. */
static void test_own_file(void **state)
{
	const struct fixture *x = *state;
	struct ovbd_fuse_params p = {.size = 1, .nworkers = 1};
	struct ovbd_transport *t;
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/own", x->dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	p.path = path;
	assert_int_equal(ovbd_fuse_open(&p, &t, NULL), 0);
	t->ops->close(t);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	unlink(path);
}

/* Whichever allocation fails: no file, no mount. */
static void test_no_memory(void **state)
{
	struct ovbd_fuse_params p = {.size = 1, .nworkers = 2};
	char dir[] = "/tmp/ovbd-unit-XXXXXX", path[64];
	int nfailed = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	p.path = path;
	for (long n = 1;; n++) {
		struct ovbd_transport *t = NULL;
		struct ovbd_error err;
		int r;

		test_fault_set(n);
		r = ovbd_fuse_open(&p, &t, &err);
		if (!test_fault_hit()) {
			assert_int_equal(r, 0);
			t->ops->close(t);
			break;
		}
		assert_int_equal(r, -ENOMEM);
		nfailed++;
		assert_int_equal(access(path, F_OK), -1);
	}
	assert_true(nfailed > 0);
	assert_int_equal(rmdir(dir), 0);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_stat),
		SERVED(test_read_all),
		SERVED(test_direct),
		SERVED(test_large_requests),
		SERVED(test_mmap),
		SERVED(test_many_readers),
		SERVED(test_errors),
		SERVED(test_detach_while_open),
		SERVED(test_stop_while_open),
		SERVED(test_stop_any_time),
		SERVED(test_second_server),
		SERVED(test_bad_places),
		SERVED(test_own_file),
		cmocka_unit_test(test_no_memory),
	};

	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		printf("skipped: /dev/fuse: %s\n", strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
