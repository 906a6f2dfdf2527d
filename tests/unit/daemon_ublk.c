// SPDX-License-Identifier: Apache-2.0
/* The parts of the ublk transport that need no ublk, and what it says where there is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/device.h"
#include "daemon/ublk_impl.h"

#define SIZE (UINT64_C(1) << 30)

static const struct ovbd_ublk_params usual = {.size = SIZE,
                                              .block_size = 512,
                                              .nworkers = 2,
                                              .id = -1};

/* The numbers as the kernel's headers have them after preprocessing. */
static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(UBLK_GET_DEV_INFO, 0x80207502);
	assert_int_equal(UBLK_ADD_DEV, 0xc0207504);
	assert_int_equal(UBLK_END_USER_RECOVERY, 0xc0207511);
	assert_int_equal(UBLK_GET_FEATURES, 0x80207513);
	assert_int_equal(UBLK_FETCH_REQ, 0xc0107520);
	assert_int_equal(UBLK_COMMIT_AND_FETCH_REQ, 0xc0107521);
}

static void test_offsets(void **state)
{
	(void)state;
	assert_int_equal(ublk_data_offset(0, 0), 0x80000000);
	assert_int_equal(ublk_data_offset(0, 1), 0x82000000);
	assert_int_equal(ublk_data_offset(3, 5), 0x80000000 + (UINT64_C(3) << 41) + 5 * (1 << 25));
	assert_int_equal(ublk_table_offset(2, 4096), 2 * 98304);
	assert_int_equal(ublk_table_offset(2, 65536), 2 * 131072);
	assert_int_equal(ublk_table_size(64, 4096), 4096);
	assert_int_equal(ublk_table_size(171, 4096), 8192);
}

static void test_params(void **state)
{
	struct ovbd_ublk_params p = usual;
	struct ublk_params k;

	(void)state;
	ublk_params_fill(&p, &k);
	assert_int_equal(k.len, 60);
	assert_int_equal(k.types, UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD);
	assert_int_equal(k.basic.attrs, UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA);
	assert_int_equal(k.basic.logical_bs_shift, 9);
	assert_int_equal(k.basic.physical_bs_shift, 12);
	assert_int_equal(k.basic.dev_sectors, SIZE / 512);
	assert_int_equal(k.basic.max_sectors, 2048);
	assert_int_equal(k.discard.max_discard_segments, 1);
	assert_true(k.discard.discard_granularity >= 4096);

	p.read_only = true;
	p.block_size = 4096;
	ublk_params_fill(&p, &k);
	assert_int_equal(k.types, UBLK_PARAM_TYPE_BASIC);
	assert_int_equal(k.basic.attrs, UBLK_ATTR_READ_ONLY);
	assert_int_equal(k.basic.logical_bs_shift, 12);
	assert_int_equal(k.discard.max_discard_sectors, 0);
}

static void test_match(void **state)
{
	struct ovbd_ublk_params other = usual;
	struct ublk_params k;

	(void)state;
	ublk_params_fill(&usual, &k);
	assert_true(ublk_params_match(&usual, &k));
	other.size += 512;
	assert_false(ublk_params_match(&other, &k));
	other = usual;
	other.read_only = true;
	assert_false(ublk_params_match(&other, &k));
	other = usual;
	other.block_size = 4096;
	assert_false(ublk_params_match(&other, &k));
	k.basic.max_sectors *= 2; /* of somebody who has larger buffers */
	assert_false(ublk_params_match(&usual, &k));
}

struct decode_case {
	struct ublk_io_desc d;
	int r;
	struct ovbd_request rq;
};

#define D(op, start, n)                                                                            \
	{                                                                                          \
		.op_flags = (op), .start_sector = (start), .nr_sectors = (n)                       \
	}

static const struct decode_case decode_cases[] = {
	{D(0, 8, 16), 0, {.op = OVBD_REQUEST_READ, .off = 4096, .len = 8192}},
	{D(0, SIZE / 512 - 1, 1), 0, {.op = OVBD_REQUEST_READ, .off = SIZE - 512, .len = 512}},
	{D(1, 0, 2048), 0, {.op = OVBD_REQUEST_WRITE, .len = 1 << 20}},
	{D(1 | 1 << 13, 1, 1),
         0,
         {.op = OVBD_REQUEST_WRITE, .flags = OVBD_WRITE_FUA, .off = 512, .len = 512}},
	{D(0 | 1 << 13 | 1 << 11, 1, 1), 0, {.op = OVBD_REQUEST_READ, .off = 512, .len = 512}},
	{D(2, 0, 0), 0, {.op = OVBD_REQUEST_FLUSH}},
	{D(3, 0, SIZE / 512), 0, {.op = OVBD_REQUEST_DISCARD, .len = SIZE}},
	{D(5, 8, 8), 0, {.op = OVBD_REQUEST_WRITE_ZEROES, .off = 4096, .len = 4096}},
	{D(5 | 1 << 15 | 1 << 13, 8, 8),
         0,
         {.op = OVBD_REQUEST_WRITE_ZEROES,
          .flags = OVBD_WRITE_ALLOC | OVBD_WRITE_FUA,
          .off = 4096,
          .len = 4096}},
	{D(4, 0, 8), -EOPNOTSUPP},          /* write same */
	{D(15, 0, 8), -EOPNOTSUPP},         /* zone report */
	{D(0, 0, 0), -EINVAL},              /* nothing */
	{D(0, SIZE / 512, 1), -EINVAL},     /* beyond the end */
	{D(0, SIZE / 512 - 1, 2), -EINVAL}, /* across it */
	{D(0, UINT64_MAX, 1), -EINVAL},     /* no offset in bytes */
	{D(1, 0, 2049), -EINVAL},           /* more than a buffer */
	{D(3, 1, UINT32_MAX), -EINVAL},
};

static void test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(decode_cases) / sizeof(decode_cases[0]); i++) {
		const struct decode_case *c = &decode_cases[i];
		struct ovbd_request rq = {.len = 1};

		assert_int_equal(ublk_request_decode(&c->d, SIZE, &rq), c->r);
		if (c->r < 0) {
			assert_int_equal(rq.len, 1); /* untouched */
			continue;
		}
		assert_int_equal(rq.op, c->rq.op);
		assert_int_equal(rq.flags, c->rq.flags);
		assert_int_equal(rq.off, c->rq.off);
		assert_int_equal(rq.len, c->rq.len);
	}
}

static void test_result(void **state)
{
	const struct ovbd_request read = {.op = OVBD_REQUEST_READ, .len = 1 << 20};
	const struct ovbd_request discard = {.op = OVBD_REQUEST_DISCARD, .len = SIZE};

	(void)state;
	assert_int_equal(ublk_result(&read, 0), 1 << 20);
	assert_int_equal(ublk_result(&discard, 0), 0);
	assert_int_equal(ublk_result(&read, -ETIMEDOUT), -ETIMEDOUT);
	assert_int_equal(ublk_result(&read, -EAGAIN), -EIO);
	assert_int_equal(ublk_result(&discard, -EINTR), -EIO);
}

static void refuse(struct ovbd_ublk_params p, int code, const char *sentence)
{
	char path[OVBD_UBLK_PATH_SIZE];
	struct ovbd_transport *t;
	struct ovbd_error err;

	assert_int_equal(ovbd_ublk_open(&p, path, &t, &err), code);
	assert_non_null(strstr(err.msg, sentence));
}

static void test_bad_params(void **state)
{
	struct ovbd_ublk_params p = usual;

	(void)state;
	p.nworkers = 0;
	refuse(p, -EINVAL, "without workers");
	p = usual;
	p.block_size = 8192;
	refuse(p, -EINVAL, "blocks of 8192 bytes");
	p.block_size = 1000;
	refuse(p, -EINVAL, "blocks of 1000 bytes");
	p = usual;
	p.size = SIZE + 1;
	refuse(p, -EINVAL, "1073741825 bytes are no disk of blocks of 512");
	p.size = 0;
	refuse(p, -EINVAL, "0 bytes are no disk");
}

static void test_no_driver(void **state)
{
	(void)state;
	if (access("/dev/ublk-control", F_OK) == 0)
		skip();
	refuse(usual, -ENOENT, "modprobe ublk_drv");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),    cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_params),     cmocka_unit_test(test_match),
		cmocka_unit_test(test_decode),     cmocka_unit_test(test_result),
		cmocka_unit_test(test_bad_params), cmocka_unit_test(test_no_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
