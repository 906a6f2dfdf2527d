// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/lib/sealed.h"

#define BLOCK OVBD_VERITY_BLOCK

/* ---- reading ---- */

static void test_read(void **state)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 9000, 524288, 524289, 6000000};
	uint64_t random = 7;
	struct ovbd_error err;

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		AUTO_SEALED s;
		AUTO_BLOB *b = NULL;

		test_seal(&s, sizes[k]);
		assert_ok(test_sealed_open(&s, &b, &err), err);
		for (unsigned i = 0; i < 100; i++) {
			const uint64_t off = test_random(&random) % s.size;
			const size_t most = (size_t)ovbd_min(s.size - off, i % 5 ? 9000 : s.size);
			const size_t len = 1 + test_random(&random) % most;
			AUTO_FREE uint8_t *buf = malloc(len);

			assert_ok(ovbd_blob_pread(b, buf, len, off, &err), err);
			assert_memory_equal(buf, s.bytes + off, len);
		}
		assert_int_equal(ovbd_verity_stats(b).refetch, 0);
	}
}

/* Of the tree only what is needed is read, and once. */
static void test_lazy(void **state)
{
	uint8_t buf[100];
	struct ovbd_error err;
	AUTO_SEALED s;
	AUTO_BLOB *b = NULL;

	(void)state;
	test_seal(&s, 40u << 20); /* 80 blocks of hashes, and one above */
	assert_ok(test_sealed_open(&s, &b, &err), err);
	assert_int_equal(s.tree_wire.nbytes, BLOCK);
	assert_int_equal(s.data_wire.nreads, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), 30u << 20, &err), err);
	assert_int_equal(s.tree_wire.nbytes, BLOCK + 16 * BLOCK);
	assert_int_equal(s.data_wire.nbytes, 3 * BLOCK);
	assert_int_equal(ovbd_verity_stats(b).blocks, 3);
}

/* What it is called is its root, so that no cache takes others' bytes for it. */
static void test_key(void **state)
{
	AUTO_FREE char *key = NULL;
	char text[OVBD_VERITY_TEXT_SIZE];
	struct ovbd_error err;
	AUTO_SEALED s;
	AUTO_BLOB *b = NULL;

	(void)state;
	test_seal(&s, 5000);
	assert_ok(test_sealed_open(&s, &b, &err), err);
	assert_ok(ovbd_blob_key(b, &key, &err), err);
	ovbd_verity_root_text(&s.root, text);
	assert_non_null(strstr(key, text));
}

/* ---- changed bytes ---- */

/* Reads all of it in two ways; wrong bytes are a failure of the test, an error is returned. */
static int read_all(struct test_sealed *s, uint8_t *buf, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	int r = test_sealed_open(s, &b, err);

	if (r == 0)
		r = ovbd_blob_pread(b, buf, s->size, 0, err);
	if (r == 0)
		assert_memory_equal(buf, s->bytes, s->size);
	if (r == 0)
		r = ovbd_blob_pread(b, buf, s->size - 5, 3, err);
	if (r == 0)
		assert_memory_equal(buf, s->bytes + 3, s->size - 5);
	return r;
}

/* Every byte of the data, changed each time it is read, or only once. */
static void test_any_byte(void **state)
{
	static const size_t sizes[] = {900, 4096, 17000};
	struct ovbd_error err;

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		AUTO_SEALED s;
		AUTO_FREE uint8_t *buf = NULL;

		test_seal(&s, sizes[k]);
		buf = malloc(s.size);
		for (size_t i = 0; i < s.size; i++) {
			s.data_wire.at = i;
			s.data_wire.flip = (uint8_t)(1 << i % 8);
			s.data_wire.times = -1;
			assert_fails(read_all(&s, buf, &err), -EBADMSG, err, "data: ");
			s.data_wire.times = 1;
			assert_ok(read_all(&s, buf, &err), err);
		}
	}
}

/* Every byte of a tree of two levels. */
static void test_any_byte_of_tree(void **state)
{
	const size_t size = 3 * 128 * BLOCK + 10;
	struct ovbd_error err;
	AUTO_SEALED s;

	(void)state;
	test_seal(&s, size);
	assert_int_equal(s.tree_size, 5 * BLOCK);
	for (size_t i = 0; i < s.tree_size; i++) {
		/* the top is asked for when it is opened; of the others one by a byte it covers */
		const uint64_t leaf = i / BLOCK;
		const uint64_t off = leaf == 0 ? 0 : (leaf - 1) * 128 * BLOCK + 7;
		AUTO_BLOB *b = NULL, *again = NULL;
		uint8_t byte;
		int r;

		s.tree_wire.at = i;
		s.tree_wire.flip = (uint8_t)(1 << i % 8);
		s.tree_wire.times = -1;
		r = test_sealed_open(&s, &b, &err);
		if (r == 0)
			r = ovbd_blob_pread(b, &byte, 1, off, &err);
		assert_fails(r, -EBADMSG, err, "data: Merkle tree tree: ");
		s.tree_wire.times = 1;
		assert_ok(test_sealed_open(&s, &again, &err), err);
		assert_ok(ovbd_blob_pread(again, &byte, 1, off, &err), err);
		assert_int_equal(byte, test_sealed_byte(off));
		assert_int_equal(ovbd_verity_stats(again).refetch, 1);
	}
}

/* A block of hashes that is wrong fails only those who need it. */
static void test_neighbours(void **state)
{
	struct ovbd_error err;
	AUTO_SEALED s;
	AUTO_BLOB *b = NULL;
	uint8_t byte;

	(void)state;
	test_seal(&s, 10 * 128 * BLOCK);
	s.tree_wire.at = 4 * BLOCK; /* number 3 of the lowest */
	s.tree_wire.flip = 1;
	s.tree_wire.times = -1;
	assert_ok(test_sealed_open(&s, &b, &err), err);
	for (unsigned i = 0; i < 10; i++) {
		const int r = ovbd_blob_pread(b, &byte, 1, i * 128 * BLOCK, &err);

		if (i == 3)
			assert_fails(r, -EBADMSG, err,
			             "block 4 at 16384 is not what the root says");
		else
			assert_ok(r, err);
	}
}

/* ---- what does not belong together ---- */

static void test_wrong(void **state)
{
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;
	AUTO_SEALED s, other;

	(void)state;
	test_seal(&s, 600000);
	test_seal(&other, 600001);
	other.bytes[0] ^= 1;
	s.root.bytes[31] ^= 1;
	assert_fails(test_sealed_open(&s, &b, &err), -EBADMSG, err, "its root is sha256:");
	s.root.bytes[31] ^= 1;
	s.tree_wire.blob.size -= BLOCK;
	assert_fails(test_sealed_open(&s, &b, &err), -EBADMSG, err,
	             "is 8192 bytes; that of 600000 bytes of data is 12288");
	s.tree_wire.blob.size += BLOCK;
	/* the size is proven too, also where the tree has the same */
	s.data_wire.blob.size--;
	assert_fails(test_sealed_open(&s, &b, &err), -EBADMSG, err, "with 599999 bytes of data");
	s.data_wire.blob.size++;
	s.tree_wire.bytes = other.tree;
	assert_fails(test_sealed_open(&s, &b, &err), -EBADMSG, err,
	             "with 600000 bytes of data its root");
	s.tree_wire.bytes = s.tree;
	assert_fails(ovbd_verity_blob_open(&s.data_wire.blob, "data", NULL, NULL, &s.root, false,
	                                   &b, &err),
	             -EINVAL, err, "without a Merkle tree");
	s.data_wire.blob.size = 4096;
	assert_fails(test_sealed_open(&s, &b, &err), -EBADMSG, err, "bytes of data is 0");
	s.data_wire.blob.size = 0;
	assert_fails(ovbd_verity_blob_open(&s.data_wire.blob, "data", NULL, NULL, &s.root, false,
	                                   &b, &err),
	             -EBADMSG, err, "the root of its 0 bytes is");
	assert_null(b);
}

/* ---- many at once ---- */

struct readers {
	struct test_sealed s;
	struct ovbd_blob *b;
	atomic_int failed;
};

static void *read_randomly(void *arg)
{
	struct readers *all = arg;
	uint64_t random = (uint64_t)(uintptr_t)&random;
	struct ovbd_error err;
	uint8_t buf[6000];

	for (unsigned i = 0; i < 50; i++) {
		const uint64_t off = test_random(&random) % (all->s.size - sizeof(buf));

		if (ovbd_blob_pread(all->b, buf, sizeof(buf), off, &err) < 0)
			atomic_fetch_add(&all->failed, 1);
		else if (memcmp(buf, all->s.bytes + off, sizeof(buf)) != 0)
			abort();
	}
	return NULL;
}

static void run_readers(struct readers *all)
{
	pthread_t threads[16];

	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_randomly, all), 0);
	for (unsigned i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
}

/* However many want a window of the tree, it is fetched once. */
static void test_one_flight(void **state)
{
	struct readers all = {.b = NULL};
	struct ovbd_error err;

	(void)state;
	test_seal(&all.s, 24u << 20); /* 48 blocks of hashes: 3 windows, and the top */
	all.s.tree_wire.delay_us = 2000;
	assert_ok(test_sealed_open(&all.s, &all.b, &err), err);
	run_readers(&all);
	assert_int_equal(all.failed, 0);
	assert_int_equal(all.s.tree_wire.nreads, 4);
	assert_int_equal(all.s.tree_wire.nbytes, all.s.tree_size);
	ovbd_blob_close(all.b);
	test_unseal(&all.s);
}

/* Lazily nothing is asked for before a read; and then the root is as good as ever. */
static void test_lazily(void **state)
{
	struct readers all = {.b = NULL};
	struct ovbd_error err;
	uint8_t byte;

	(void)state;
	test_seal(&all.s, 24u << 20);
	all.s.tree_wire.delay_us = 2000;
	for (unsigned wrong = 0; wrong < 2; wrong++) {
		all.s.tree_wire.nreads = 0;
		all.s.root.bytes[7] ^= (uint8_t)wrong;
		assert_ok(ovbd_verity_blob_open(&all.s.data_wire.blob, "data",
		                                &all.s.tree_wire.blob, "tree", &all.s.root, true,
		                                &all.b, &err),
		          err);
		assert_int_equal(all.s.tree_wire.nreads, 0);
		run_readers(&all);
		if (wrong) {
			assert_int_equal(all.failed, 16 * 50);
			assert_fails(ovbd_blob_pread(all.b, &byte, 1, 0, &err), -EBADMSG, err,
			             "Merkle tree tree: with 25165824 bytes of data its root is");
		} else {
			assert_int_equal(all.failed, 0);
			assert_int_equal(all.s.tree_wire.nreads, 4);
		}
		ovbd_blob_close(all.b);
	}
	test_unseal(&all.s);
}

/* Some reads of the tree fail: those who waited for them fail too, others go on. */
static void test_failures(void **state)
{
	struct readers all = {.b = NULL};
	struct ovbd_error err;
	uint8_t byte;

	(void)state;
	test_seal(&all.s, 24u << 20);
	assert_ok(test_sealed_open(&all.s, &all.b, &err), err);
	all.s.tree_wire.delay_us = 2000;
	all.s.tree_wire.fail = 2;
	run_readers(&all);
	assert_in_range(all.failed, 2, 32);
	assert_ok(ovbd_blob_pread(all.b, &byte, 1, 0, &err), err);
	all.s.data_wire.fail = 1;
	assert_fails(ovbd_blob_pread(all.b, &byte, 1, 0, &err), -EIO, err, "the wire failed");
	ovbd_blob_close(all.b);
	test_unseal(&all.s);
}

/* ---- more than is kept ---- */

/* Blocks that say their number, and nothing else; 300 MiB of them are not in memory. */
static int numbers_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	uint8_t *p = buf;

	(void)b;
	(void)err;
	memset(buf, 0, len);
	for (size_t i = 0; i < len; i += BLOCK)
		ovbd_put_le64(p + i, (off + i) / BLOCK);
	return 0;
}

static void numbers_close(struct ovbd_blob *b)
{
	(void)b;
}

static void test_large(void **state)
{
	static const struct ovbd_blob_ops ops = {.name = "numbers",
	                                         .pread = numbers_pread,
	                                         .close = numbers_close};
	struct ovbd_blob numbers = {.ops = &ops, .size = 300u << 20};
	struct ovbd_sink *sink = NULL;
	struct ovbd_verity_root root;
	AUTO_FREE uint8_t *tree = NULL;
	struct test_wire wire;
	struct ovbd_error err;
	AUTO_BLOB *b = NULL;
	uint64_t random = 3;
	size_t tree_size;
	uint8_t buf[BLOCK];

	(void)state;
	assert_ok(ovbd_sink_create_mem(&sink, &err), err);
	assert_ok(ovbd_verity_measure(&numbers, sink, NULL, NULL, &root, &err), err);
	assert_ok(ovbd_sink_finish(sink, &err), err);
	tree = ovbd_sink_mem_take(sink, &tree_size);
	ovbd_sink_close(sink);
	test_wire_init(&wire, tree, tree_size);
	assert_ok(ovbd_verity_blob_open(&numbers, "n", &wire.blob, "t", &root, false, &b, &err),
	          err);
	for (unsigned i = 0; i < 4000; i++) {
		const uint64_t number = test_random(&random) % (numbers.size / BLOCK);

		assert_ok(ovbd_blob_pread(b, buf, BLOCK, number * BLOCK, &err), err);
		assert_int_equal(ovbd_get_le64(buf), number);
	}
	assert_true(wire.nbytes > tree_size); /* some had fallen out */
	assert_int_equal(ovbd_verity_stats(b).refetch, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_any_byte),
		cmocka_unit_test(test_any_byte_of_tree),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_one_flight),
		cmocka_unit_test(test_lazily),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
