// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/device.h"

#define SIZE (1u << 20)

static char path[] = "/tmp/ovbd-test-XXXXXX";

static struct ovbd_device *open_file(void)
{
	struct ovbd_error err;
	struct ovbd_device *d;

	assert_ok(ovbd_device_open_file(path, &d, &err), err);
	return d;
}

static int make_file(void **state)
{
	const int fd = mkstemp(path);
	int r = fd < 0 ? -1 : ftruncate(fd, SIZE);

	(void)state;
	close(fd);
	return r;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void test_read_only(void **state)
{
	struct ovbd_error err;
	struct ovbd_blob *b;
	struct ovbd_device *d;

	(void)state;
	assert_ok(ovbd_blob_open_mem("0123456789", 10, &b, &err), err);
	assert_ok(ovbd_device_open_blob(b, &d, &err), err);
	assert_false(ovbd_device_is_writable(d));
	assert_fails(ovbd_device_pwrite(d, "a", 1, 0, 0, &err), -EROFS, err, "read-only");
	assert_fails(ovbd_device_write_zeroes(d, 0, 1, 0, &err), -EROFS, err, "read-only");
	assert_fails(ovbd_device_discard(d, 0, 1, &err), -EROFS, err, "read-only");
	assert_ok(ovbd_device_flush(d, &err), err);
	ovbd_device_close(d);
	ovbd_device_close(NULL);
}

static void test_write(void **state)
{
	static uint8_t block[65536], back[65536];
	struct ovbd_device *d = open_file();
	struct ovbd_error err;
	struct stat st;

	(void)state;
	memset(block, 'x', sizeof(block));
	assert_true(ovbd_device_is_writable(d));
	for (unsigned flags = 0; flags < 2 * OVBD_WRITE_ALLOC; flags++) {
		assert_ok(ovbd_device_pwrite(d, block, sizeof(block), 65536, flags, &err), err);
		assert_ok(ovbd_blob_pread(d->blob, back, sizeof(back), 65536, &err), err);
		assert_memory_equal(back, block, sizeof(back));
		assert_ok(ovbd_device_write_zeroes(d, 65536 + 512, 32768, flags, &err), err);
		assert_ok(ovbd_blob_pread(d->blob, back, sizeof(back), 65536, &err), err);
		assert_memory_equal(back, block, 512);
		assert_true(ovbd_is_zero(back + 512, 32768));
		assert_memory_equal(back + 512 + 32768, block, sizeof(back) - 512 - 32768);
	}
	assert_ok(ovbd_device_discard(d, 0, SIZE, &err), err);
	assert_ok(ovbd_device_flush(d, &err), err);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	ovbd_device_close(d);
}

static void test_bounds(void **state)
{
	struct ovbd_device *d = open_file();
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_device_pwrite(d, "ab", 2, SIZE - 1, 0, &err), -EINVAL, err, "beyond");
	assert_fails(ovbd_device_discard(d, UINT64_MAX, 2, &err), -EINVAL, err, "beyond");
	assert_fails(ovbd_device_write_zeroes(d, 1, UINT64_MAX, 0, &err), -EINVAL, err, "beyond");
	assert_ok(ovbd_device_pwrite(d, "", 0, SIZE, 0, &err), err);
	ovbd_device_close(d);
	assert_fails(ovbd_device_open_file("/nonexistent/x", &d, &err), -ENOENT, err,
	             "/nonexistent");
	assert_fails(ovbd_device_open_file("/tmp", &d, &err), -EISDIR, err, "/tmp");
}

static void test_grow(void **state)
{
	struct ovbd_device *d = open_file();
	struct ovbd_error err;
	struct ovbd_blob *b;
	struct stat st;
	uint8_t got[4];

	(void)state;
	assert_fails(ovbd_device_grow(d, SIZE - 512, &err), -ENOTSUP, err, "only grows");
	assert_fails(ovbd_device_grow(d, UINT64_MAX, &err), -EFBIG, err, path);
	assert_int_equal(d->blob->size, SIZE);
	assert_ok(ovbd_device_grow(d, SIZE, &err), err);
	assert_ok(ovbd_device_grow(d, 2 * SIZE, &err), err);
	assert_int_equal(d->blob->size, 2 * SIZE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2 * SIZE);
	assert_ok(ovbd_device_pwrite(d, "abcd", 4, 2 * SIZE - 4, 0, &err), err);
	assert_ok(ovbd_blob_pread(d->blob, got, 4, 2 * SIZE - 4, &err), err);
	assert_memory_equal(got, "abcd", 4);
	assert_fails(ovbd_device_pwrite(d, "ab", 2, 2 * SIZE - 1, 0, &err), -EINVAL, err, "beyond");
	/* somebody else has made it larger already: nothing is cut off */
	assert_int_equal(truncate(path, 4 * SIZE), 0);
	assert_ok(ovbd_device_grow(d, 3 * SIZE, &err), err);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4 * SIZE);
	ovbd_device_close(d);
	assert_int_equal(truncate(path, SIZE), 0);
	assert_ok(ovbd_blob_open_mem("0123456789", 10, &b, &err), err);
	assert_ok(ovbd_device_open_blob(b, &d, &err), err);
	assert_fails(ovbd_device_grow(d, 20, &err), -EROFS, err, "read-only");
	ovbd_device_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_grow),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
