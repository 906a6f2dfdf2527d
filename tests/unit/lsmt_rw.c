// SPDX-License-Identifier: Apache-2.0
/* The original's writable layers: what is refused, full disks, flushes that fail, dead data. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/format.h"
#include "lsmt/rw.h"
#include "tests/lib/mem_device.h"

#define FILE_SIZE (1u << 20)
#define SIZE      (256u << 10)

static struct {
	struct test_mem data, index;
	uint8_t bytes[2][FILE_SIZE];
} f;

static void fresh_of(uint64_t size, bool sparse)
{
	const struct ovbd_rw_params p = {.virtual_size = size, .sparse = sparse};
	struct ovbd_device *data, *index;
	struct ovbd_error err;

	memset(&f, 0, sizeof(f));
	f.data = (struct test_mem){.bytes = f.bytes[0], .size = FILE_SIZE};
	f.index = (struct test_mem){.bytes = f.bytes[1], .size = FILE_SIZE};
	data = test_mem_device(&f.data);
	index = test_mem_device(&f.index);
	assert_ok(ovbd_rw_create_pair(data, index, &p, &err), err);
	ovbd_device_close(data);
	ovbd_device_close(index);
}

static void fresh(bool sparse)
{
	fresh_of(SIZE, sparse);
}

static int open_ends(uint64_t data_end, uint64_t index_end, struct ovbd_device **ret,
                     struct ovbd_error *err)
{
	const struct ovbd_rw_pair files = {
		.data = {test_mem_device(&f.data), data_end},
		.index = {test_mem_device(&f.index), index_end},
		.no_thread = true,
	};

	return ovbd_rw_open_pair(&files, NULL, ret, err);
}

static struct ovbd_device *reopen(void)
{
	struct ovbd_device *d;
	struct ovbd_error err;

	assert_ok(open_ends(f.data.end, f.index.end, &d, &err), err);
	return d;
}

/* ---- what is refused ---- */

static void record(struct lsmt_entry e)
{
	ovbd_lsmt_entry_encode(&e, f.bytes[1] + LSMT_RECORDS_OFF);
}

static void break_data_magic(void)
{
	f.bytes[0][3] ^= 1;
}

static void break_index_magic(void)
{
	f.bytes[1][3] ^= 1;
}

static void seal(void)
{
	f.bytes[0][LSMT_OFF_FLAGS] = 7;
}

static void swap_kinds(void)
{
	f.bytes[1][LSMT_OFF_FLAGS] = 3;
}

static void other_uuid(void)
{
	f.bytes[1][LSMT_OFF_UUID] = '7';
}

static void new_version(void)
{
	f.bytes[0][LSMT_OFF_VERSION] = 9;
}

static void references(void)
{
	f.bytes[0][LSMT_OFF_VERSION] = 2;
	f.bytes[0][LSMT_OFF_FLAGS + 1] = 1;
}

static void huge(void)
{
	ovbd_put_le64(f.bytes[0] + LSMT_OFF_VIRTUAL_SIZE, UINT64_C(1) << 62);
}

static void beyond_data(void)
{
	record((struct lsmt_entry){.len = 1024, .src = 8192 - 512});
}

static void before_data(void)
{
	record((struct lsmt_entry){.len = 512, .src = 3584});
}

static void beyond_device(void)
{
	record((struct lsmt_entry){.off = LSMT_DEVICE_MAX - 512, .len = 1024, .src = 4096});
}

static void test_refused(void **state)
{
	static const struct {
		void (*spoil)(void);
		int code;
		const char *text;
		uint64_t data_end, index_end;
	} rows[] = {
		{NULL, -EBADMSG, "data file: 4095 bytes are shorter than a header", 4095, 0},
		{NULL, -EBADMSG, "index file: 100 bytes are shorter than a header", 0, 100},
		{break_data_magic, -EBADMSG, "data file: no LSMT magic", 0, 0},
		{break_index_magic, -EBADMSG, "index file: no LSMT magic", 0, 0},
		{seal, -EBADMSG, "flags 0x7 are not those of the data file", 0, 0},
		{swap_kinds, -EBADMSG, "flags 0x3 are not those of the index file", 0, 0},
		{other_uuid, -EBADMSG, "is that of layer 70000000", 0, 0},
		{new_version, -ENOTSUP, "version 9.1 is newer", 0, 0},
		{references, -ENOTSUP, "version 2.0 of a writable layer", 0, 0},
		{huge, -EBADMSG, "virtual size 4611686018427387904 is more", 0, 0},
		{beyond_data, -EBADMSG, "record 0: 1024 bytes at 7680 are not within", 8192, 0},
		{before_data, -EBADMSG, "record 0: 512 bytes at 3584 are not within", 8192, 0},
		{beyond_device, -EBADMSG, "record 0: 1024 bytes at device offset", 8192, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ovbd_device *d;
		struct ovbd_error err = {""};

		fresh(false);
		if (rows[i].spoil)
			rows[i].spoil();
		assert_fails(open_ends(rows[i].data_end ? rows[i].data_end : FILE_SIZE,
		                       rows[i].index_end ? rows[i].index_end : FILE_SIZE, &d, &err),
		             rows[i].code, err, rows[i].text);
	}
}

/* ---- trouble ---- */

static void expect_byte(struct ovbd_device *d, uint64_t off, uint8_t want)
{
	uint8_t got[512];

	assert_int_equal(ovbd_blob_pread(d->blob, got, sizeof(got), off, NULL), 0);
	for (size_t i = 0; i < sizeof(got); i++)
		assert_int_equal(got[i], want);
}

static int write_byte(struct ovbd_device *d, uint64_t off, uint8_t value, struct ovbd_error *err)
{
	uint8_t buf[4096];

	memset(buf, value, sizeof(buf));
	return ovbd_device_pwrite(d, buf, sizeof(buf), off, 0, err);
}

static void test_sectors(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;
	uint8_t buf[512] = {0};

	(void)state;
	fresh(false);
	d = reopen();
	assert_fails(ovbd_device_pwrite(d, buf, 511, 0, 0, &err), -EINVAL, err, "511 bytes at 0");
	assert_fails(ovbd_device_pwrite(d, buf, 512, 1, 0, &err), -EINVAL, err, "512 bytes at 1");
	assert_fails(ovbd_device_write_zeroes(d, 100, 512, 0, &err), -EINVAL, err, "at 100");
	assert_fails(ovbd_rw_resize(d, 1000, &err), -EINVAL, err, "1000 bytes");
	assert_fails(ovbd_device_pwrite(d, buf, 512, SIZE, 0, &err), -EINVAL, err, "");
	ovbd_device_close(d);
}

static void test_full(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	fresh(false);
	d = reopen();
	assert_ok(write_byte(d, 0, 1, &err), err);
	assert_ok(ovbd_device_flush(d, &err), err);
	f.data.room = 1000;
	assert_fails(write_byte(d, 0, 2, &err), -ENOSPC, err, "full");
	expect_byte(d, 0, 1);
	f.data.room = UINT64_MAX;
	assert_ok(write_byte(d, 4096, 3, &err), err);
	f.index.room = 0; /* the flush has no room: nothing is lost by trying */
	assert_fails(ovbd_device_flush(d, &err), -ENOSPC, err, "full");
	assert_ok(write_byte(d, 8192, 4, &err), err);
	f.index.room = UINT64_MAX;
	assert_ok(ovbd_device_flush(d, &err), err);
	ovbd_device_close(d);
	d = reopen();
	expect_byte(d, 0, 1);
	expect_byte(d, 4096, 3);
	expect_byte(d, 8192, 4);
	ovbd_device_close(d);
}

/* A flush that failed may have lost anything: no other one may say that all is well. */
static void test_failed_flush(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	for (unsigned sparse = 0; sparse < 2; sparse++) {
		fresh(sparse);
		d = reopen();
		assert_ok(write_byte(d, 0, 1, &err), err);
		f.data.bad_flush = true;
		assert_fails(ovbd_device_flush(d, &err), -EIO, err, "flush");
		f.data.bad_flush = false;
		assert_fails(ovbd_device_flush(d, &err), -EIO, err, "a flush has failed");
		assert_fails(write_byte(d, 0, 1, &err), -EIO, err, "until it is opened again");
		assert_fails(ovbd_device_discard(d, 0, 4096, &err), -EIO, err, "has failed");
		expect_byte(d, 0, 1);
		ovbd_device_close(d);
		d = reopen();
		assert_ok(write_byte(d, 0, 5, &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
		ovbd_device_close(d);
	}
}

/* Records come after the data that they lead to. */
static void test_order(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	fresh(false);
	d = reopen();
	f.index.nwritten = f.data.nflushes = 0;
	assert_ok(write_byte(d, 0, 1, &err), err);
	assert_int_equal(f.index.nwritten, 0);
	f.data.bad_flush = true;
	assert_true(ovbd_device_flush(d, &err) < 0);
	assert_int_equal(f.index.nwritten, 0);
	ovbd_device_close(d);
}

/* Who wrote it was killed, so it may be in memory only: a flush is one, though nothing was written
 * since. */
static void test_found(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	for (unsigned sparse = 0; sparse < 2; sparse++) {
		fresh(sparse);
		d = reopen();
		assert_ok(write_byte(d, 0, 1, &err), err);
		ovbd_device_close(d);
		d = reopen();
		f.data.nflushes = f.index.nflushes = 0;
		assert_ok(ovbd_device_flush(d, &err), err);
		assert_int_equal(f.data.nflushes, 1);
		assert_int_equal(f.index.nflushes,
		                 sparse ? 0 : 1); /* of a sparse one it has nothing */
		assert_ok(ovbd_device_flush(d, &err), err);
		assert_int_equal(f.data.nflushes, 1);
		ovbd_device_close(d);
	}
}

/* What was written over is given back, after a flush and not before. */
static void test_dead(void **state)
{
	struct ovbd_rw_info info;
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	fresh(false);
	d = reopen();
	for (unsigned i = 0; i < 3; i++)
		assert_ok(write_byte(d, 0, (uint8_t)(i + 1), &err), err);
	ovbd_rw_info(d, &info);
	assert_int_equal(info.data_size, 4096);
	assert_int_equal(info.dead_size, 8192);
	assert_int_equal(f.data.ndiscarded, 0);
	assert_ok(ovbd_device_flush(d, &err), err);
	assert_int_equal(f.data.ndiscarded, 8192);
	/* sector by sector: the block goes with its last */
	for (unsigned i = 0; i < 8; i++) {
		uint8_t buf[512] = {9};

		assert_ok(ovbd_device_pwrite(d, buf, sizeof(buf), i * 512, 0, &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
		assert_int_equal(f.data.ndiscarded, i < 7 ? 8192 : 3 * 4096);
	}
	ovbd_rw_info(d, &info);
	assert_int_equal(info.dead_size, 0);
	ovbd_device_close(d);
}

/* ---- without a size of its own ---- */

static void open_over(unsigned nblocks, struct ovbd_device **ret)
{
	static const uint8_t beneath[16 * 4096] = {1};
	const struct ovbd_rw_pair files = {
		.data = {test_mem_device(&f.data), f.data.end},
		.index = {test_mem_device(&f.index), f.index.end},
		.no_thread = true,
	};
	struct ovbd_blob *lower = NULL;
	struct ovbd_error err;

	if (nblocks > 0)
		assert_int_equal(ovbd_blob_open_mem(beneath, nblocks * 4096, &lower, NULL), 0);
	assert_ok(ovbd_rw_open_pair(&files, lower, ret, &err), err);
}

/* take_b is a layer that has a block at 4096, one of zeros at 8192, and no size. */
static void check_sizeless(struct ovbd_blob *take_b, bool zeros)
{
	struct ovbd_layer *l;
	struct ovbd_segment s;
	struct ovbd_error err;

	assert_ok(ovbd_layer_open(take_b, FILE_SIZE, &l, &err), err);
	assert_int_equal(ovbd_layer_info(l)->virtual_size, 0);
	assert_int_equal(ovbd_layer_info(l)->data_size, 4096);
	s = ovbd_index_at(ovbd_layer_index(l), 4096, 4096);
	assert_int_equal(s.kind, OVBD_RUN_DATA);
	assert_int_equal(s.len, 4096);
	s = ovbd_index_at(ovbd_layer_index(l), 8192, 4096);
	assert_int_equal(s.kind, zeros ? OVBD_RUN_ZERO : OVBD_RUN_HOLE);
	ovbd_layer_close(l);
}

static struct ovbd_blob *mem_blob(const void *p, size_t len)
{
	struct ovbd_blob *b;

	assert_int_equal(ovbd_blob_open_mem(p, len, &b, NULL), 0);
	return b;
}

/* It has the size of what is beneath, and is committed and sealed where that is not known. */
static void test_sizeless(void **state)
{
	const struct ovbd_layer_params params = {.over_base = true};
	struct ovbd_layer_writer *w;
	struct ovbd_device *d;
	struct ovbd_sink *sink, *kept;
	struct ovbd_error err;
	uint8_t *bytes;
	size_t len;

	(void)state;
	for (int sparse = 0; sparse < 2; sparse++) {
		fresh_of(0, sparse);
		open_over(16, &d);
		assert_int_equal(d->blob->size, 16 * 4096);
		assert_ok(write_byte(d, 4096, 7, &err), err);
		if (!sparse) /* a map of zeros is needed for that */
			assert_ok(ovbd_device_discard(d, 8192, 4096, &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
		ovbd_device_close(d);
		open_over(0, &d);
		assert_int_equal(ovbd_sink_create_mem(&sink, NULL), 0);
		kept = sink;
		assert_ok(ovbd_layer_create(sink, &params, &w, &err), err);
		assert_ok(ovbd_rw_commit(d, w, true, &err), err);
		assert_ok(ovbd_layer_finish(w, &err), err);
		bytes = ovbd_sink_mem_take(kept, &len);
		check_sizeless(mem_blob(bytes, len), !sparse);
		ovbd_layer_writer_close(w);
		free(bytes);
		if (!sparse) {
			assert_ok(ovbd_rw_seal(d, &err), err);
			check_sizeless(mem_blob(f.bytes[0], f.data.end), true);
		}
		ovbd_device_close(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_sectors),
		cmocka_unit_test(test_full),    cmocka_unit_test(test_failed_flush),
		cmocka_unit_test(test_order),   cmocka_unit_test(test_found),
		cmocka_unit_test(test_dead),    cmocka_unit_test(test_sizeless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
