// SPDX-License-Identifier: Apache-2.0
/* Logs of backup on write, hand-made: what is read of them, and what is refused. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "bow/log.h"
#include "bow/spans.h"
#include "tests/lib/bow_make.h"

enum { SIZE = 2 << 20 };

static uint8_t disk[SIZE];

static struct bow_log *read_log(size_t size)
{
	AUTO_BLOB *b = NULL;
	struct bow_log *l = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_blob_open_mem(disk, size, &b, &err), err);
	assert_ok(ovbd_bow_log_read(b, &l, &err), err);
	return l;
}

static void refuse(size_t size, int code, const char *why)
{
	AUTO_BLOB *b = NULL;
	struct bow_log *l = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_blob_open_mem(disk, size, &b, &err), err);
	assert_fails(ovbd_bow_log_read(b, &l, &err), code, err, why);
}

static void assert_log(const struct bow_make *m, uint64_t sector0)
{
	struct bow_log *l = read_log(SIZE);

	assert_int_equal(l->header.prototype, m->layout != BOW_MAKE_1_0);
	assert_int_equal(l->header.block_size, m->block);
	assert_int_equal(l->header.header_size, m->header);
	assert_int_equal(l->header.sequence, m->sequence);
	assert_int_equal(l->header.count, m->count);
	assert_int_equal(l->header.sector0, sector0);
	assert_int_equal(l->nentries, m->nentries);
	for (size_t i = 0; i < m->nentries; i++) {
		assert_int_equal(l->entries[i].source, m->entries[i].source);
		assert_int_equal(l->entries[i].dest, m->entries[i].dest);
		assert_int_equal(l->entries[i].size, m->entries[i].size);
		assert_int_equal(l->entries[i].checksum, m->entries[i].checksum);
		if (i > 0)
			assert_int_equal(l->sequences[i],
			                 l->sequences[i - 1] + (m->entries[i].source == 0));
	}
	ovbd_bow_log_free(l);
}

/* Many log blocks, some of which were moved, and moved again. */
static void make_long(struct bow_make *m, enum bow_make_layout layout, uint32_t block)
{
	const uint64_t half = SIZE / 2;

	bow_make_fill(disk, SIZE, 7);
	bow_make_begin(m, disk, SIZE, layout, block, 0, half, half + block);
	for (uint32_t i = 1; i < 60; i++)
		bow_make_backup(m, i * block, half + (100 + i) * block, block);
	bow_make_backup(m, half + 2 * block, half + 170 * block, block);
	bow_make_backup(m, half + block, half + 172 * block, 1 * block);
	for (uint32_t i = 60; i < 90; i++)
		bow_make_backup(m, i * block, half + (200 + i) * block, block);
	bow_make_backup(m, half + 170 * block, half + 190 * block, 2 * block);
}

static void test_layouts(void **state)
{
	struct bow_make m;

	(void)state;
	for (uint32_t block = 512; block <= 2048; block *= 2) {
		make_long(&m, BOW_MAKE_1_0, block);
		assert_log(&m, SIZE / 2);
		bow_make_end(&m);
	}
	for (int layout = BOW_MAKE_EARLY; layout <= BOW_MAKE_PROTOTYPE; layout++) {
		bow_make_begin(&m, disk, SIZE, layout, 4096, 0, 8 * 4096, 9 * 4096);
		for (uint32_t i = 1; i < 8; i++)
			bow_make_backup(&m, i * 4096, (i + 30) * 4096, 4096);
		assert_log(&m, layout == BOW_MAKE_EARLY ? 0 : 8 * 4096);
		bow_make_end(&m);
	}
}

/* The header tells of the kernel's last move of block 0 only when another entry follows. */
static void test_moved_block0(void **state)
{
	struct bow_make m;

	(void)state;
	bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, 1024, 0, 64 * 1024, 65 * 1024);
	bow_make_move(&m, 80 * 1024);
	assert_log(&m, 80 * 1024);
	bow_make_backup(&m, 5 * 1024, 90 * 1024, 1024);
	assert_log(&m, 80 * 1024);
	bow_make_move(&m, 81 * 1024);
	assert_log(&m, 81 * 1024);
	bow_make_end(&m);
}

static void test_none(void **state)
{
	(void)state;
	memset(disk, 0, SIZE);
	refuse(SIZE, -ENOMSG, "no log");
	refuse(511, -ENOMSG, "no log");
	refuse(0, -ENOMSG, "no log");
}

/* Two backups in one place, and a log block that is spoilt, or another. */
static void test_refused(void **state)
{
	struct bow_make m;
	struct bow_make_entry e = {.source = 7 * 512, .size = 1024};

	(void)state;
	make_long(&m, BOW_MAKE_1_0, 512);
	disk[SIZE / 2 + 3 * 512 + 100] ^= 1;
	refuse(SIZE, -EBADMSG, "of the log block at");
	bow_make_end(&m);

	bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, 512, 0, 64 * 512, 65 * 512);
	bow_make_backup(&m, 512, 90 * 512, 2048);
	e.dest = 92 * 512;
	bow_make_log(&m, &e);
	refuse(SIZE, -EBADMSG, "block 0 of it: entry 1: its backup at 47104 is that of a later");
	bow_make_end(&m);
}

/* Spans against an array with a number for each byte. */
static void test_spans(void **state)
{
	enum { N = 4000 };
	static uint64_t model[N];
	AUTO_BOW_SPANS s = {0};
	struct bow_span span;
	uint64_t random = 3;

	(void)state;
	for (int step = 0; step < 200000; step++) {
		const uint64_t off = test_random(&random) % N;
		const uint64_t len = 1 + test_random(&random) % 7 % (N - off);
		const uint64_t kind = test_random(&random) % 8;
		const uint64_t at = kind < 2   ? BOW_SPAN_NOWHERE
		                    : kind < 4 ? off + 1000000
		                               : test_random(&random) % N + 1;
		bool overlap = false;

		for (uint64_t i = off; i < off + len; i++)
			overlap |= model[i] != 0;
		assert_int_equal(ovbd_bow_spans_overlap(&s, off, len), overlap);
		for (uint64_t i = 0; i < len; i++)
			model[off + i] = kind == 7 ? 0 : at == BOW_SPAN_NOWHERE ? at : at + i;
		span = (struct bow_span){off, len, at};
		assert_int_equal(kind == 7 ? ovbd_bow_spans_cut(&s, off, len)
		                           : ovbd_bow_spans_put(&s, &span),
		                 0);
		if (step % 1000)
			continue;
		for (uint64_t i = 0; i < N; i++) {
			const bool found = ovbd_bow_spans_find(&s, i, &span) && span.off <= i;

			assert_int_equal(found, model[i] != 0);
			if (found && span.at != BOW_SPAN_NOWHERE)
				assert_int_equal(span.at + (i - span.off), model[i]);
			else if (found)
				assert_true(model[i] == BOW_SPAN_NOWHERE);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts), cmocka_unit_test(test_moved_block0),
		cmocka_unit_test(test_none),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
