// SPDX-License-Identifier: Apache-2.0
/*
 * The commands of a disk, one a line: what is asked (hexadecimal, as on the wire), of a writable
 * disk or a read-only one, and what comes of it.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/device.h"
#include "daemon/scsi.h"

#define SIZE (UINT64_C(64) << 20) /* 0x20000 blocks */

static const struct ovbd_scsi_disk writable = {.size = SIZE,
                                               .block_size = 512,
                                               .max_transfer = 1 << 20,
                                               .writable = true,
                                               .serial = "disk-1"};
static const struct ovbd_scsi_disk readonly = {.size = SIZE,
                                               .block_size = 512,
                                               .max_transfer = 1 << 20,
                                               .serial = "disk-1"};

/* The bytes that "28 00 0000 ..." spells; how many. */
static size_t from_hex(const char *text, uint8_t *raw, size_t max)
{
	size_t n = 0;
	unsigned byte;

	while (*text) {
		if (*text == ' ') {
			text++;
			continue;
		}
		assert_true(n < max && sscanf(text, "%2x", &byte) == 1);
		raw[n++] = (uint8_t)byte;
		text += 2;
	}
	return n;
}

static void decode(const struct ovbd_scsi_disk *d, const char *cdb_hex, const char *sent_hex,
                   struct ovbd_scsi_command *ret)
{
	uint8_t cdb[OVBD_SCSI_CDB_SIZE_MAX], sent[OVBD_SCSI_PARAMETERS_SIZE_MAX] = {0};
	const size_t len = from_hex(cdb_hex, cdb, sizeof(cdb));
	const size_t wanted = ovbd_scsi_parameters_size(d, cdb, len);
	size_t nsent = wanted; /* zeros, unless the test says what */

	if (sent_hex)
		nsent = ovbd_min(from_hex(sent_hex, sent, sizeof(sent)), wanted);
	ovbd_scsi_decode(d, cdb, len, sent, nsent, ret);
}

static const struct request_case {
	const char *name, *cdb, *sent;
	struct ovbd_request rq; /* op, flags, off, len */
} requests[] = {
	{"read 6",
         "08 01 0203 04 00",
         NULL,
         {OVBD_REQUEST_READ, .off = 0x10203 * 512, .len = 2048}},
	{"read 6 of 256", "08 00 0000 00 00", NULL, {OVBD_REQUEST_READ, .len = 256 * 512}},
	{"read 10",
         "28 00 00010000 00 0008 00",
         NULL,
         {OVBD_REQUEST_READ, .off = 0x10000 * 512, .len = 4096}},
	{"read 10, FUA and DPO",
         "28 18 00010000 00 0008 00",
         NULL,
         {OVBD_REQUEST_READ, .off = 0x10000 * 512, .len = 4096}},
	{"read 12",
         "a8 00 0001ffff 00000001 00 00",
         NULL,
         {OVBD_REQUEST_READ, .off = SIZE - 512, .len = 512}},
	{"read 16",
         "88 00 0000000000000000 00000800 00 00",
         NULL,
         {OVBD_REQUEST_READ, .len = 1 << 20}},
	{"write 6", "0a 00 0001 01 00", NULL, {OVBD_REQUEST_WRITE, .off = 512, .len = 512}},
	{"write 10",
         "2a 00 00000001 00 0001 00",
         NULL,
         {OVBD_REQUEST_WRITE, .off = 512, .len = 512}},
	{"write 10, FUA",
         "2a 08 00000001 00 0001 00",
         NULL,
         {OVBD_REQUEST_WRITE, OVBD_WRITE_FUA, .off = 512, .len = 512}},
	{"write 12",
         "aa 00 00000001 00000001 00 00",
         NULL,
         {OVBD_REQUEST_WRITE, .off = 512, .len = 512}},
	{"write 16",
         "8a 08 0000000000000001 00000001 00 00",
         NULL,
         {OVBD_REQUEST_WRITE, OVBD_WRITE_FUA, .off = 512, .len = 512}},
	{"synchronize 10", "35 00 00000000 00 0000 00", NULL, {OVBD_REQUEST_FLUSH}},
	{"synchronize 16", "91 00 0000000000000008 00000008 00 00", NULL, {OVBD_REQUEST_FLUSH}},
	{"write same 10",
         "41 00 00000008 00 0010 00",
         NULL,
         {OVBD_REQUEST_WRITE_ZEROES, OVBD_WRITE_ALLOC, .off = 4096, .len = 8192}},
	{"write same 16, unmap",
         "93 08 0000000000000008 00010000 00 00",
         NULL,
         {OVBD_REQUEST_WRITE_ZEROES, .off = 4096, .len = 0x10000 * 512}},
	{"write same 16, no data",
         "93 09 0000000000000008 00000008 00 00",
         "",
         {OVBD_REQUEST_WRITE_ZEROES, .off = 4096, .len = 4096}},
	{"unmap",
         "42 00 00000000 00 0018 00",
         "0016 0010 00000000 0000000000000010 00000008 00000000",
         {OVBD_REQUEST_DISCARD, .off = 8192, .len = 4096}},
};

static void test_requests(void **state)
{
	struct ovbd_scsi_command c;

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		const struct request_case *t = &requests[i];

		decode(&writable, t->cdb, t->sent, &c);
		if (c.kind != OVBD_SCSI_REQUEST || c.request.op != t->rq.op ||
		    c.request.flags != t->rq.flags || c.request.off != t->rq.off ||
		    c.request.len != t->rq.len)
			fail_msg("%s: kind %d, op %d, flags %u, at %#llx, %#llx bytes", t->name,
			         (int)c.kind, (int)c.request.op, c.request.flags,
			         (unsigned long long)c.request.off,
			         (unsigned long long)c.request.len);
		decode(&readonly, t->cdb, t->sent, &c);
		if (t->rq.op == OVBD_REQUEST_READ || t->rq.op == OVBD_REQUEST_FLUSH) {
			assert_int_equal(c.kind, OVBD_SCSI_REQUEST);
			continue;
		}
		if (c.kind != OVBD_SCSI_REFUSAL || c.sense.key != 7 || c.sense.asc != 0x27)
			fail_msg("%s: kind %d of a read-only disk", t->name, (int)c.kind);
	}
}

static const struct refusal_case {
	const char *name, *cdb, *sent;
	struct ovbd_scsi_sense sense;
} refusals[] = {
	{"cut off", "28 00 0000", NULL, {5, 0x20, 0}},
	{"no command", "", NULL, {5, 0x20, 0}},
	{"unknown code", "a3 0c 00 00 00000000 00000000", NULL, {5, 0x20, 0}},
	{"variable length", "7f 00 00000000 00000000 000000000000", NULL, {5, 0x20, 0}},
	{"read 10 beyond the end", "28 00 0001ffff 00 0002 00", NULL, {5, 0x21, 0}},
	{"read 16 that wraps", "88 00 ffffffffffffffff 00000002 00 00", NULL, {5, 0x21, 0}},
	{"read 12 larger than the limit", "a8 00 00000000 00000801 00 00", NULL, {5, 0x24, 0}},
	{"read with protection", "28 20 00000000 00 0001 00", NULL, {5, 0x24, 0}},
	{"synchronize beyond the end", "35 00 00020000 00 0001 00", NULL, {5, 0x21, 0}},
	{"write same to the end", "41 00 00000000 00 0000 00", NULL, {5, 0x24, 0}},
	{"write same, anchor", "41 18 00000000 00 0001 00", NULL, {5, 0x24, 0}},
	{"write same without its block", "41 00 00000000 00 0001 00", "00", {5, 0x1a, 0}},
	{"write same beyond the end", "93 00 0000000000020000 00000001 00 00", NULL, {5, 0x21, 0}},
	{"unmap, anchor", "42 01 00000000 00 0018 00", NULL, {5, 0x24, 0}},
	{"unmap cut in the header", "42 00 00000000 00 0018 00", "0016 0010", {5, 0x1a, 0}},
	{"unmap cut in the range",
         "42 00 00000000 00 0018 00",
         "0016 0010 00000000 00",
         {5, 0x1a, 0}},
	{"unmap of two ranges", "42 00 00000000 00 0028 00", "0026 0020 00000000", {5, 0x26, 0}},
	{"unmap beyond the end",
         "42 00 00000000 00 0018 00",
         "0016 0010 00000000 0000000000020000 00000001 00000000",
         {5, 0x21, 0}},
	{"inquiry of no page", "12 00 80 00ff 00", NULL, {5, 0x24, 0}},
	{"inquiry of an unknown page", "12 01 c0 00ff 00", NULL, {5, 0x24, 0}},
	{"capacity of another kind", "9e 11 0000000000000000 00000020 00 00", NULL, {5, 0x24, 0}},
	{"saved mode pages", "1a 00 c8 00 ff 00", NULL, {5, 0x39, 0}},
	{"an unknown mode page", "1a 00 02 00 ff 00", NULL, {5, 0x24, 0}},
	{"an unknown mode subpage", "1a 00 08 01 ff 00", NULL, {5, 0x24, 0}},
	{"mode select cut off", "15 10 00 00 18 00", "00000000", {5, 0x1a, 0}},
	{"mode select, descriptors beyond", "15 10 00 00 04 00", "00000008", {5, 0x1a, 0}},
	{"mode select of an unknown page", "15 10 00 00 08 00", "00000000 02020000", {5, 0x26, 0}},
	{"mode select of half a page", "15 10 00 00 06 00", "00000000 0812", {5, 0x26, 0}},
	{"luns without room", "a0 00 00 000000 0000000f 00 00", NULL, {5, 0x24, 0}},
	{"sense by descriptors", "03 01 0000 ff 00", NULL, {5, 0x24, 0}},
};

static void test_refusals(void **state)
{
	struct ovbd_scsi_command c;

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		const struct refusal_case *t = &refusals[i];

		decode(&writable, t->cdb, t->sent, &c);
		if (c.kind != OVBD_SCSI_REFUSAL ||
		    memcmp(&c.sense, &t->sense, sizeof(c.sense)) != 0)
			fail_msg("%s: kind %d, sense %x/%02x/%02x", t->name, (int)c.kind,
			         c.sense.key, c.sense.asc, c.sense.ascq);
	}
}

static const struct answer_case {
	const char *name;
	const struct ovbd_scsi_disk *disk;
	const char *cdb, *answer; /* its beginning */
	size_t nanswer;
} answers[] = {
	{"ready", &readonly, "00 00 0000 00 00", "", 0},
	{"stop", &readonly, "1b 00 0000 00 00", "", 0},
	{"nothing read", &readonly, "28 00 00000000 00 0000 00", "", 0},
	{"nothing unmapped", &writable, "42 00 00000000 00 0000 00", "", 0},
	{"inquiry", &readonly, "12 00 00 00ff 00", "00 00 05 02 1f 00 00 02 4c494f2d4f524720", 36},
	{"inquiry, little room", &readonly, "12 00 00 0005 00", "00 00 05 02 1f", 5},
	{"pages", &readonly, "12 01 00 00ff 00", "00 00 0005 00 80 83 b0 b1", 9},
	{"pages, writable", &writable, "12 01 00 00ff 00", "00 00 0006 00 80 83 b0 b1 b2", 10},
	{"serial", &readonly, "12 01 80 00ff 00", "00 80 0006 6469736b2d31", 10},
	{"identification", &readonly, "12 01 83 00ff 00", "00 83 001e 01 03 00 08", 34},
	{"limits", &readonly, "12 01 b0 00ff 00",
         "00 b0 003c 01 00 0008 00000800 00000800 00000000", 64},
	{"limits, writable", &writable, "12 01 b0 00ff 00",
         "00 b0 003c 01 00 0008 00000800 00000800 00000000 00200000 00000001 00000008 00000000"
         "0000000000200000",
         64},
	{"characteristics", &readonly, "12 01 b1 00ff 00", "00 b1 003c 0001", 64},
	{"provisioning, writable", &writable, "12 01 b2 00ff 00", "00 b2 0004 00 e0 02 00", 8},
	{"capacity 10", &readonly, "25 00 00000000 0000 00 00", "0001ffff 00000200", 8},
	{"capacity 16", &readonly, "9e 10 0000000000000000 00000020 00 00",
         "000000000001ffff 00000200 00 03 00 00", 32},
	{"capacity 16, writable", &writable, "9e 10 0000000000000000 0000000f 00 00",
         "000000000001ffff 00000200 00 03 80", 15},
	{"caching page", &readonly, "1a 08 08 00 ff 00", "17 00 80 00 08 12 00", 24},
	{"caching page, writable", &writable, "1a 08 08 00 ff 00", "17 00 10 00 08 12 04", 24},
	{"caching page, changeable", &writable, "1a 08 48 00 ff 00", "17 00 10 00 08 12 00", 24},
	{"all pages 10", &writable, "5a 08 3f 00 000000 00ff 00", "0026 00 10 0000 0000 08 12 04",
         40},
	{"pages, header only", &readonly, "1a 00 3f 00 04 00", "23 00 80 00", 4},
	{"luns", &readonly, "a0 00 00 000000 00001000 00 00", "00000008 00000000 0000000000000000",
         16},
	{"well-known luns", &readonly, "a0 00 01 000000 00001000 00 00", "00000000 00000000", 8},
	{"sense", &readonly, "03 00 0000 ff 00", "70 00 00 00000000 0a", 18},
};

static void test_answers(void **state)
{
	uint8_t want[OVBD_SCSI_ANSWER_SIZE_MAX];
	struct ovbd_scsi_command c;

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		const struct answer_case *t = &answers[i];
		const size_t n = from_hex(t->answer, want, sizeof(want));

		decode(t->disk, t->cdb, NULL, &c);
		if (c.kind != OVBD_SCSI_ANSWER || c.nanswer != t->nanswer)
			fail_msg("%s: kind %d, %zu bytes", t->name, (int)c.kind, c.nanswer);
		if (memcmp(c.answer, want, n) != 0)
			fail_msg("%s: another answer", t->name);
	}
}

static void test_write_same_pattern(void **state)
{
	static const uint8_t cdb[10] = {0x41, [8] = 1};
	uint8_t block[512] = {[511] = 1};
	struct ovbd_scsi_command c;

	(void)state;
	ovbd_scsi_decode(&writable, cdb, sizeof(cdb), block, sizeof(block), &c);
	assert_int_equal(c.kind, OVBD_SCSI_REFUSAL);
	assert_int_equal(c.sense.asc, 0x26);
}

/* What MODE SENSE says, MODE SELECT takes; with one bit changed it does not. */
static void test_mode_select(void **state)
{
	static const uint8_t sense[10] = {0x5a, 8, 0x3f, [8] = 0xff};
	uint8_t select[10] = {0x55, 0x10}, list[OVBD_SCSI_ANSWER_SIZE_MAX];
	struct ovbd_scsi_command c;
	size_t n;

	(void)state;
	ovbd_scsi_decode(&writable, sense, sizeof(sense), NULL, 0, &c);
	n = c.nanswer;
	memcpy(list, c.answer, n);
	list[0] = list[1] = 0;
	select[8] = (uint8_t)n;
	assert_int_equal(ovbd_scsi_parameters_size(&writable, select, sizeof(select)), n);
	ovbd_scsi_decode(&writable, select, sizeof(select), list, n, &c);
	assert_int_equal(c.kind, OVBD_SCSI_ANSWER);
	list[10] ^= 4; /* WCE */
	ovbd_scsi_decode(&writable, select, sizeof(select), list, n, &c);
	assert_int_equal(c.kind, OVBD_SCSI_REFUSAL);
	assert_int_equal(c.sense.asc, 0x26);
}

static void test_large_disk(void **state)
{
	struct ovbd_scsi_disk d = readonly;
	struct ovbd_scsi_command c;

	(void)state;
	d.size = UINT64_C(16) << 40;
	d.block_size = 4096;
	decode(&d, "25 00 00000000 0000 00 00", NULL, &c);
	assert_int_equal(ovbd_get_be32(c.answer), UINT32_MAX);
	decode(&d, "9e 10 0000000000000000 00000020 00 00", NULL, &c);
	assert_true(ovbd_get_be64(c.answer) == (UINT64_C(1) << 32) - 1);
	assert_int_equal(c.answer[13], 0);
	decode(&d, "88 00 00000000ffffffff 00000001 00 00", NULL, &c);
	assert_int_equal(c.kind, OVBD_SCSI_REQUEST);
	assert_true(c.request.off == d.size - 4096);
}

static void test_sense(void **state)
{
	static const struct {
		enum ovbd_request_op op;
		int status;
		uint8_t raw[3];
	} cases[] = {
		{OVBD_REQUEST_READ, -EIO, {3, 0x11, 0}},
		{OVBD_REQUEST_READ, -EBADMSG, {3, 0x10, 0}},
		{OVBD_REQUEST_READ, -ETIMEDOUT, {4, 0x08, 1}},
		{OVBD_REQUEST_WRITE, -EIO, {3, 0x0c, 0}},
		{OVBD_REQUEST_FLUSH, -EIO, {3, 0x0c, 0}},
		{OVBD_REQUEST_WRITE, -ENOSPC, {7, 0x27, 7}},
		{OVBD_REQUEST_DISCARD, -EROFS, {7, 0x27, 0}},
		{OVBD_REQUEST_READ, -ENOMEM, {0xb, 0x55, 0}},
	};
	uint8_t raw[OVBD_SCSI_SENSE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ovbd_scsi_put_sense(ovbd_scsi_sense_of(cases[i].op, cases[i].status), raw);
		assert_int_equal(raw[0], 0x70);
		assert_int_equal(raw[7], 10);
		assert_int_equal(raw[2], cases[i].raw[0]);
		assert_memory_equal(raw + 12, cases[i].raw + 1, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),    cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_answers),     cmocka_unit_test(test_write_same_pattern),
		cmocka_unit_test(test_mode_select), cmocka_unit_test(test_large_disk),
		cmocka_unit_test(test_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
