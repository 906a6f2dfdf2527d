// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/sink.h"
#include "tests/lib/fault.h"

static char dir[] = "/tmp/ovbd-test-XXXXXX";
static char path[128];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir); /* fails if a test has left anything */
}

/* A file of size bytes with len bytes of text at off. */
static void make_file(off_t size, const char *text, off_t off)
{
	const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), off), (ssize_t)strlen(text));
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static void test_mem_and_slice(void **state)
{
	struct ovbd_error err;
	struct ovbd_blob *b, *s;
	char buf[16];

	(void)state;
	assert_ok(ovbd_blob_open_mem("0123456789", 10, &b, &err), err);
	assert_ok(ovbd_blob_open_slice(b, 2, 5, &s, &err), err);
	assert_int_equal(s->size, 5);
	assert_ok(ovbd_blob_pread(s, buf, 5, 0, &err), err);
	assert_memory_equal(buf, "23456", 5);
	assert_ok(ovbd_blob_pread(s, buf, 0, 5, &err), err);
	assert_fails(ovbd_blob_pread(s, buf, 1, 5, &err), -EINVAL, err, "beyond the end");
	assert_fails(ovbd_blob_pread(s, buf, 2, UINT64_MAX, &err), -EINVAL, err, "beyond");
	ovbd_blob_close(s);
	assert_ok(ovbd_blob_open_mem("0123456789", 10, &b, &err), err);
	assert_fails(ovbd_blob_open_slice(b, 2, 9, &s, &err), -EINVAL, err, "not within");
	assert_ok(ovbd_blob_open_mem("0123456789", 10, &b, &err), err);
	assert_fails(ovbd_blob_open_slice(b, 3, UINT64_MAX - 1, &s, &err), -EINVAL, err,
	             "not within");
	ovbd_blob_close(NULL);
}

static void test_file(void **state)
{
	struct ovbd_error err;
	struct ovbd_blob *b;
	struct ovbd_run run;
	char buf[8];

	(void)state;
	make_file(1 << 20, "hello", 524288);
	assert_ok(ovbd_blob_open_file(path, &b, &err), err);
	assert_int_equal(b->size, 1 << 20);
	assert_ok(ovbd_blob_pread(b, buf, 5, 524288, &err), err);
	assert_memory_equal(buf, "hello", 5);
	assert_ok(ovbd_blob_run_at(b, 0, 1 << 20, &run, &err), err);
	assert_int_equal(run.kind, OVBD_RUN_HOLE);
	assert_int_equal(run.len, 524288);
	assert_ok(ovbd_blob_run_at(b, 524289, 100, &run, &err), err);
	assert_int_equal(run.kind, OVBD_RUN_DATA);
	assert_int_equal(run.len, 100);
	assert_ok(ovbd_blob_run_at(b, 1048575, 1, &run, &err), err);
	assert_int_equal(run.kind, OVBD_RUN_HOLE);
	assert_fails(ovbd_blob_run_at(b, 1048575, 2, &run, &err), -EINVAL, err, "not within");
	/* a file that has shrunk is an error, never zeros */
	assert_int_equal(truncate(path, 524290), 0);
	assert_fails(ovbd_blob_pread(b, buf, 5, 524288, &err), -EIO, err, "ends at 524290");
	ovbd_blob_close(b);
}

static void test_file_refused(void **state)
{
	struct ovbd_error err;
	struct ovbd_blob *b;

	(void)state;
	assert_fails(ovbd_blob_open_file("/nonexistent/x", &b, &err), -ENOENT, err,
	             "/nonexistent/x: No such file");
	assert_fails(ovbd_blob_open_file("/tmp", &b, &err), -EISDIR, err, "is a directory");
	assert_fails(ovbd_blob_open_file("/dev/null", &b, &err), -ENOTSUP, err, "neither");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0); /* does not hang */
	assert_fails(ovbd_blob_open_file(path, &b, &err), -ENOTSUP, err, "neither");
	unlink(path);
}

static struct ovbd_sink *create(bool overwrite)
{
	struct ovbd_sink_file_params p = {.overwrite = overwrite};
	struct ovbd_error err;
	struct ovbd_sink *s;

	assert_ok(ovbd_sink_create_file(path, &p, &s, &err), err);
	return s;
}

static void test_sink_file(void **state)
{
	struct ovbd_error err;
	struct ovbd_sink *s;
	struct stat st;
	struct ovbd_blob *b;
	char buf[8];

	(void)state;
	unlink(path);
	s = create(false);
	assert_ok(ovbd_sink_append(s, "abcd", 4, &err), err);
	assert_ok(ovbd_sink_append_zeros(s, 1 << 20, &err), err);
	assert_ok(ovbd_sink_patch(s, "X", 1, 1, &err), err);
	assert_int_equal(s->written, 4 + (1 << 20));
	assert_int_equal(access(path, F_OK), -1); /* not before finish */
	assert_ok(ovbd_sink_finish(s, &err), err);
	ovbd_sink_close(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4 + (1 << 20));
	assert_true(st.st_blocks * 512 < 1 << 19); /* the zeros are a hole */
	assert_ok(ovbd_blob_open_file(path, &b, &err), err);
	assert_ok(ovbd_blob_pread(b, buf, 4, 0, &err), err);
	assert_memory_equal(buf, "aXcd", 4);
	ovbd_blob_close(b);
}

static void test_sink_file_exists(void **state)
{
	struct ovbd_error err;
	struct ovbd_sink *s, *late;
	struct stat st;

	(void)state;
	unlink(path);
	late = create(false); /* the name is free when it begins, and taken when it ends */
	make_file(3, "old", 0);
	assert_fails(ovbd_sink_create_file(path, NULL, &s, &err), -EEXIST, err, "exists");
	assert_ok(ovbd_sink_append(late, "late", 4, &err), err);
	assert_fails(ovbd_sink_finish(late, &err), -EEXIST, err, "exists");
	ovbd_sink_close(late);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3);
	s = create(true);
	assert_ok(ovbd_sink_append(s, "newer", 5, &err), err);
	ovbd_sink_close(s); /* not finished: the old one stays */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3);
	s = create(true);
	assert_ok(ovbd_sink_append(s, "newer", 5, &err), err);
	assert_ok(ovbd_sink_finish(s, &err), err);
	ovbd_sink_close(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_fails(ovbd_sink_create_file("/nonexistent/x", NULL, &s, &err), -ENOENT, err,
	             "/nonexistent");
	assert_fails(ovbd_sink_create_file("/tmp", &(struct ovbd_sink_file_params){true}, &s, &err),
	             -EEXIST, err, "neither");
}

static void test_sink_full(void **state)
{
	struct ovbd_error err;
	struct ovbd_sink *s;

	(void)state;
	assert_ok(ovbd_sink_create_file("/dev/shm/ovbd-test-full", NULL, &s, &err), err);
	/* more than any tmpfs here holds; a hole costs nothing, writing at its end may */
	assert_ok(ovbd_sink_append_zeros(s, (uint64_t)INT64_MAX - 1, &err), err);
	assert_true(ovbd_sink_append(s, "xx", 2, &err) < 0);
	assert_non_null(strstr(err.msg, "/dev/shm/ovbd-test-full: write"));
	ovbd_sink_close(s);
	assert_int_equal(access("/dev/shm/ovbd-test-full", F_OK), -1);
}

static void test_sink_mem(void **state)
{
	struct ovbd_error err;
	struct ovbd_sink *s;
	uint8_t *bytes;
	size_t len;

	(void)state;
	assert_ok(ovbd_sink_create_mem(&s, &err), err);
	for (int i = 0; i < 1000; i++)
		assert_ok(ovbd_sink_append(s, "0123456789", 10, &err), err);
	assert_ok(ovbd_sink_append_zeros(s, 100000, &err), err);
	assert_ok(ovbd_sink_patch(s, "xy", 2, 9998, &err), err);
	assert_ok(ovbd_sink_finish(s, &err), err);
	bytes = ovbd_sink_mem_take(s, &len);
	assert_int_equal(len, 110000);
	assert_memory_equal(bytes + 9990, "01234567xy\0", 11);
	free(bytes);
	ovbd_sink_close(s);
}

static void test_faults(void **state)
{
	struct ovbd_error err;
	struct ovbd_sink *s;
	int nfailed = 0;

	(void)state;
	for (long n = 1;; n++) {
		int r;

		assert_ok(ovbd_sink_create_mem(&s, &err), err);
		s = test_sink_faulty(s);
		test_fault_set(n);
		r = ovbd_sink_append(s, "a", 1, &err);
		r = r < 0 ? r : ovbd_sink_append_zeros(s, 100000, &err);
		r = r < 0 ? r : ovbd_sink_finish(s, &err);
		ovbd_sink_close(s);
		if (!test_fault_hit())
			break;
		assert_fails(r, -ENOSPC, err, "told to fail");
		nfailed++;
	}
	assert_int_equal(nfailed, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem_and_slice),    cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_refused),     cmocka_unit_test(test_sink_file),
		cmocka_unit_test(test_sink_file_exists), cmocka_unit_test(test_sink_full),
		cmocka_unit_test(test_sink_mem),         cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
