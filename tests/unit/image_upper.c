// SPDX-License-Identifier: Apache-2.0
/* Writable layers by the names of their files. */
#include "image/upper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

static char dir[] = "/tmp/ovbd-upper-XXXXXX";

static const char *in_dir(const char *name)
{
	static char paths[4][64];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static struct ovbd_blob *lower(void)
{
	static uint8_t bytes[65536];
	struct ovbd_blob *b;

	memset(bytes, 0x11, sizeof(bytes));
	assert_int_equal(ovbd_blob_open_mem(bytes, sizeof(bytes), &b, NULL), 0);
	return b;
}

static void expect(struct ovbd_device *d, uint64_t off, uint8_t want)
{
	uint8_t got;

	assert_int_equal(ovbd_blob_pread(d->blob, &got, 1, off, NULL), 0);
	assert_int_equal(got, want);
}

static void use(const char *data, const char *index, const char *format)
{
	struct ovbd_device *d, *other;
	struct ovbd_rw_info info;
	struct ovbd_error err;
	uint8_t buf[512];

	memset(buf, 0x22, sizeof(buf));
	assert_ok(ovbd_upper_open(data, index, lower(), &d, &err), err);
	ovbd_rw_info(d, &info);
	assert_string_equal(info.format, format);
	assert_fails(ovbd_upper_open(data, index, NULL, &other, &err), -EBUSY, err,
	             "is in use by process");
	assert_ok(ovbd_device_pwrite(d, buf, sizeof(buf), 1024, 0, &err), err);
	assert_ok(ovbd_device_discard(d, 8192, 8192, &err), err);
	assert_ok(ovbd_device_flush(d, &err), err);
	ovbd_device_close(d);
	assert_ok(ovbd_upper_open(data, index, lower(), &d, &err), err);
	expect(d, 0, 0x11);
	expect(d, 1023, 0x11);
	expect(d, 1024, 0x22);
	expect(d, 1536, 0x11);
	expect(d, 8192, 0);
	expect(d, 16383, 0);
	expect(d, 16384, 0x11);
	ovbd_device_close(d);
}

static void test_formats(void **state)
{
	static const struct {
		const char *data, *index, *format;
		bool sparse;
	} rows[] = {
		{"rw", NULL, "ovbd-rw", false},
		{"rw2", "", "ovbd-rw", false},
		{"a.data", "a.index", "append", false},
		{"s.data", "s.index", "sparse", true},
	};
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct ovbd_rw_params p = {.virtual_size = 65536, .sparse = rows[i].sparse};
		const char *data = in_dir(rows[i].data), *index = rows[i].index;

		if (index && index[0])
			index = in_dir(index);
		assert_ok(ovbd_upper_create(data, index, &p, &err), err);
		assert_fails(ovbd_upper_create(data, index, &p, &err), -EEXIST, err, data);
		use(data, index, rows[i].format);
	}
	assert_int_equal(access(in_dir("s.data.zeros"), F_OK), 0);
}

static void test_refused(void **state)
{
	const struct ovbd_rw_params p = {.virtual_size = 65536}, odd = {.virtual_size = 100};
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_upper_open(in_dir("none"), NULL, lower(), &d, &err), -ENOENT, err,
	             "/none");
	assert_ok(ovbd_upper_create(in_dir("one"), NULL, &p, &err), err);
	assert_ok(ovbd_upper_create(in_dir("b.data"), in_dir("b.index"), &p, &err), err);
	assert_fails(ovbd_upper_open(in_dir("one"), in_dir("b.index"), lower(), &d, &err), -EINVAL,
	             err, "one: is an ovbd-rw, which has no index file");
	assert_fails(ovbd_upper_open(in_dir("b.data"), NULL, lower(), &d, &err), -EINVAL, err,
	             "b.data: is no ovbd-rw");
	assert_fails(ovbd_upper_open(in_dir("b.data"), in_dir("none"), lower(), &d, &err), -ENOENT,
	             err, "/none");
	/* nothing is left of what could not be made */
	assert_fails(ovbd_upper_create(in_dir("c.data"), in_dir("b.index"), &p, &err), -EEXIST, err,
	             "b.index");
	assert_int_equal(access(in_dir("c.data"), F_OK), -1);
	assert_fails(ovbd_upper_create(in_dir("c.data"), in_dir("c.index"), &odd, &err), -EINVAL,
	             err, "virtual size 100");
	assert_int_equal(access(in_dir("c.data"), F_OK), -1);
	assert_int_equal(access(in_dir("c.index"), F_OK), -1);
}

/* ---- larger, while it is open ---- */

/* The device's size, a sector near its end, and what shows beneath it and beyond. */
static void check_grown(struct ovbd_device *d, uint64_t size)
{
	assert_int_equal(d->blob->size, size);
	expect(d, 1023, 0x11);
	expect(d, 1024, 0x22);
	expect(d, 65535, 0x11);
	expect(d, 65536, 0);
	expect(d, 98304, 0x22);
	expect(d, 98303, 0);
	expect(d, size - 1, 0);
}

/* By way of what takes any bytes, as it is served. */
static void grow(const char *data, const char *index, bool sparse)
{
	const struct ovbd_rw_params p = {.virtual_size = 32768, .sparse = sparse};
	struct ovbd_device *d;
	struct ovbd_error err;
	uint8_t buf[512];

	memset(buf, 0x22, sizeof(buf));
	assert_ok(ovbd_upper_create(data, index, &p, &err), err);
	assert_ok(ovbd_upper_open(data, index, lower(), &d, &err), err);
	assert_ok(ovbd_upper_open_bytes(d, &d, &err), err);
	assert_ok(ovbd_device_pwrite(d, buf, sizeof(buf), 1024, 0, &err), err);
	assert_fails(ovbd_device_grow(d, 16384, &err), -ENOTSUP, err, "only grows");
	assert_fails(ovbd_device_grow(d, 40000, &err), -EINVAL, err, "whole sectors");
	assert_fails(ovbd_device_grow(d, UINT64_C(1) << 62, &err), -E2BIG, err, "virtual size");
	assert_int_equal(d->blob->size, 32768);
	assert_ok(ovbd_device_grow(d, 49152, &err), err);
	expect(d, 49151, 0x11);
	assert_ok(ovbd_device_grow(d, 131072, &err), err);
	assert_ok(ovbd_device_pwrite(d, buf, sizeof(buf), 98304, 0, &err), err);
	assert_fails(ovbd_device_pwrite(d, buf, sizeof(buf), 131072 - 511, 0, &err), -EINVAL, err,
	             "beyond the end");
	check_grown(d, 131072);
	ovbd_device_close(d);
	assert_ok(ovbd_upper_open(data, index, lower(), &d, &err), err);
	assert_int_equal(d->blob->size, 131072);
	assert_ok(ovbd_device_flush(d, &err), err);
	ovbd_device_close(d);
}

static void test_grown(void **state)
{
	(void)state;
	grow(in_dir("g.rw"), NULL, false);
	grow(in_dir("g-a.data"), in_dir("g-a.index"), false);
	grow(in_dir("g-s.data"), in_dir("g-s.index"), true);
}

/* ---- sealed ---- */

/* The layer over lower(): a sector at 1024, zeros at 8192. */
static void check_sealed(const char *path, uint64_t size)
{
	struct ovbd_blob *b;
	struct ovbd_layer *l;
	struct ovbd_error err;
	uint8_t got[16385];

	assert_ok(ovbd_blob_open_file(path, &b, &err), err);
	assert_ok(ovbd_layer_open(b, b->size, &l, &err), err);
	assert_int_equal(ovbd_layer_info(l)->virtual_size, size);
	assert_ok(ovbd_stack_open_over(lower(), &l, 1, &b, &err), err);
	assert_int_equal(b->size, 65536);
	assert_ok(ovbd_blob_pread(b, got, sizeof(got), 0, &err), err);
	assert_int_equal(got[1023], 0x11);
	assert_int_equal(got[1024], 0x22);
	assert_int_equal(got[1535], 0x22);
	assert_int_equal(got[1536], 0x11);
	assert_int_equal(got[8192], 0);
	assert_int_equal(got[16383], 0);
	assert_int_equal(got[16384], 0x11);
	ovbd_blob_close(b);
}

static void test_sealed(void **state)
{
	static const struct {
		const char *data, *index;
		bool sparse;
		uint64_t size;
	} rows[] = {
		{"seal.rw", NULL, false, 65536},
		{"seal-a.data", "seal-a.index", false, 65536},
		{"seal-s.data", "seal-s.index", true, 65536},
		{"seal-a0.data", "seal-a0.index", false, 0},
		{"seal-s0.data", "seal-s0.index", true, 0},
	};
	struct ovbd_device *d;
	struct ovbd_error err;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct ovbd_rw_params p = {.virtual_size = rows[i].size,
		                                 .sparse = rows[i].sparse};
		const char *data = in_dir(rows[i].data);
		const char *index = rows[i].index ? in_dir(rows[i].index) : NULL;
		const bool replaced = !index || rows[i].sparse;
		uint8_t buf[512];

		memset(buf, 0x22, sizeof(buf));
		assert_ok(ovbd_upper_create(data, index, &p, &err), err);
		assert_int_equal(chmod(data, 0640), 0);
		assert_ok(ovbd_upper_open(data, index, lower(), &d, &err), err);
		assert_ok(ovbd_device_pwrite(d, buf, sizeof(buf), 1024, 0, &err), err);
		assert_ok(ovbd_device_discard(d, 8192, 8192, &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
		assert_fails(ovbd_upper_seal(data, index, &err), -EBUSY, err, "is in use by");
		ovbd_device_close(d);
		assert_ok(ovbd_upper_seal(data, index, &err), err);
		check_sealed(data, rows[i].size);
		assert_int_equal(stat(data, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		/* once more, by who does not know that it was done */
		assert_ok(ovbd_upper_seal(data, index, &err), err);
		check_sealed(data, rows[i].size);
		if (replaced)
			assert_fails(ovbd_upper_open(data, index, NULL, &d, &err),
			             index ? -EBADMSG : -EINVAL, err, data);
	}
	assert_int_equal(access(in_dir("seal-s.data.zeros"), F_OK), -1);
	assert_fails(ovbd_upper_seal(in_dir("none"), in_dir("none"), &err), -ENOENT, err, "/none");
}

/* Bytes of a device that lie where another format has its superblock. */
static void test_alike(void **state)
{
	const struct ovbd_rw_params p = {.virtual_size = 65536};
	const char *data = in_dir("alike.data"), *index = in_dir("alike.index");
	struct ovbd_device *d;
	struct ovbd_error err;
	uint8_t buf[512] = "ovbd-rw";

	(void)state;
	assert_ok(ovbd_upper_create(data, index, &p, &err), err);
	assert_ok(ovbd_upper_open(data, index, NULL, &d, &err), err);
	assert_ok(ovbd_device_pwrite(d, buf, sizeof(buf), 0, OVBD_WRITE_FUA, &err), err);
	ovbd_device_close(d);
	assert_ok(ovbd_upper_open(data, index, NULL, &d, &err), err);
	expect(d, 0, 'o');
	ovbd_device_close(d);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_grown),   cmocka_unit_test(test_alike),
		cmocka_unit_test(test_sealed),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
