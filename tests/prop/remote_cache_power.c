// SPDX-License-Identifier: Apache-2.0
/*
 * A cache is filled, and evicted from, and its power is cut after its steps: whatever a disk may
 * then have of what was not synced, no wrong byte is read; and a chunk that the map has is there.
 * (But for chunks that were evicted: their entries may come back. They are found wrong then.)
 *
 *     prop_remote_cache_power          2 cuts after each of about 100 steps
 *     prop_remote_cache_power N SEED   N after every step, from this seed
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "remote/cache_impl.h"
#include "tests/lib/cut.h"
#include "tests/lib/source.h"

#define CHUNK      4096u
#define SIZE       (15u * CHUNK + 77)
#define NBLOBS     3u
#define AUTO_CACHE OVBD_AUTO(ovbd_cache_closep) struct ovbd_cache

static char dir[64];
static unsigned ncuts = 2;
static uint64_t seed = 1;
static struct test_source sources[NBLOBS];

static void clear(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static struct ovbd_cache *open_cache(uint64_t size_max, struct ovbd_blob **blobs)
{
	const struct ovbd_cache_params p = {.size_max = size_max, .chunk_size = CHUNK};
	struct ovbd_cache *c = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_cache_open(dir, &p, &c, &err), err);
	for (unsigned i = 0; i < NBLOBS; i++) {
		const char key[] = {(char)('a' + i), '\0'};

		test_source_init(&sources[i], SIZE, i);
		assert_ok(ovbd_cache_blob_open(c, key, &sources[i].blob, &blobs[i], &err), err);
	}
	return c;
}

static void read_some(struct ovbd_blob *b, const struct test_source *s, uint64_t off, size_t len)
{
	AUTO_FREE uint8_t *buf = malloc(len);
	struct ovbd_error err;

	assert_ok(ovbd_blob_pread(b, buf, len, off, &err), err);
	assert_true(test_source_is(s, buf, len, off));
}

static void close_blobs(struct ovbd_blob **blobs)
{
	for (unsigned i = 0; i < NBLOBS; i++)
		ovbd_blob_close(blobs[i]);
}

/* Reads here and there, until all is stored; or, where there is no room for all, until chunks were
 * evicted and others have come in their place. */
static void live(bool crowded)
{
	uint64_t random = seed, evicted_at = 0;
	struct ovbd_blob *blobs[NBLOBS];
	AUTO_CACHE *c = open_cache(crowded ? 24 * CHUNK : 0, blobs);

	for (;;) {
		const unsigned i = (unsigned)(test_random(&random) % NBLOBS);
		const uint64_t off = test_random(&random) % SIZE;
		const size_t len =
			(size_t)ovbd_min(1 + test_random(&random) % (3 * CHUNK), SIZE - off);
		const struct ovbd_cache_stats s = ovbd_cache_stats(c);

		read_some(blobs[i], &sources[i], off, len);
		if (s.nevicted > 0 && evicted_at == 0)
			evicted_at = s.stored_bytes;
		if (crowded ? evicted_at && s.stored_bytes > evicted_at + 8 * CHUNK
		            : s.stored_bytes == NBLOBS * SIZE)
			break;
		usleep(300);
	}
	close_blobs(blobs);
}

static int count_wrong(void *ctx, struct cache_file *f)
{
	static uint8_t buf[CHUNK];
	uint64_t *n = ctx;

	for (uint64_t i = 0; i < f->nchunks; i++) {
		const struct cache_entry e = cache_entry_load(f, i);
		const uint32_t len = cache_chunk_len(f, i);

		if (e.present && (cache_data_read(f, buf, len, cache_chunk_off(f, i)) < 0 ||
		                  ovbd_crc32c(~0u, buf, len) != e.crc))
			++*n;
	}
	return 0;
}

struct outcome {
	uint64_t ncases, nwrong, hit_bytes;
};

static void check_cut(size_t at, uint64_t *random, struct outcome *o)
{
	struct ovbd_blob *blobs[NBLOBS];
	struct ovbd_cache *c = NULL;
	struct ovbd_cache_stats s;
	char inner[128];

	clear();
	snprintf(inner, sizeof(inner), "%s/ovbd-cache-1", dir);
	assert_true(mkdir(dir, 0700) == 0 && mkdir(inner, 0700) == 0);
	test_cut_make(inner, at, random);
	if (ovbd_cache_attach(dir, &c, NULL) == 0) {
		cache_each_file(c, count_wrong, &o->nwrong);
		ovbd_cache_close(c);
	}
	c = open_cache(0, blobs);
	for (unsigned i = 0; i < NBLOBS; i++)
		read_some(blobs[i], &sources[i], 0, SIZE);
	close_blobs(blobs);
	s = ovbd_cache_stats(c);
	ovbd_cache_close(c);
	o->hit_bytes += s.hit_bytes;
	o->ncases++;
}

static struct outcome run(bool crowded, bool syncs)
{
	uint64_t random = seed;
	struct outcome o = {0};
	size_t n, every;

	clear();
	test_cut_record(syncs);
	live(crowded);
	n = test_cut_stop();
	every = ncuts > 2 ? 1 : n / 100 + 1;
	for (size_t at = seed % every; at <= n; at += every)
		for (unsigned i = 0; i < ncuts; i++)
			check_cut(at, &random, &o);
	print_message("seed %llu: %zu steps, %llu cuts, %llu wrong chunks, %llu bytes kept\n",
	              (unsigned long long)seed, n, (unsigned long long)o.ncases,
	              (unsigned long long)o.nwrong, (unsigned long long)o.hit_bytes);
	return o;
}

static void test_filled(void **state)
{
	const struct outcome o = run(false, true);

	(void)state;
	assert_int_equal(o.nwrong, 0);
	assert_true(o.hit_bytes > o.ncases * SIZE / 8); /* much has been believed */
}

static void test_evicted(void **state)
{
	const struct outcome o = run(true, true);

	(void)state;
	assert_true(o.hit_bytes > 0);
}

/* If nothing were synced there would be wrong chunks, which this would see, and no reader. */
static void test_never_synced(void **state)
{
	const struct outcome o = run(false, false);

	(void)state;
	assert_true(o.nwrong > 0);
}

/* Chunks of which it is known whether they are kept. */
static uint64_t settled(struct ovbd_cache *c)
{
	const struct ovbd_cache_stats s = ovbd_cache_stats(c);

	return s.stored_bytes / CHUNK + s.nunstored;
}

/* What finds no room costs no sync. */
static void test_full(void **state)
{
	struct ovbd_blob *blobs[NBLOBS];
	struct ovbd_cache *c;

	(void)state;
	clear();
	test_cut_record(true);
	c = open_cache(16 * CHUNK, blobs);
	for (uint64_t i = 0; i < NBLOBS * 15; i++) {
		const uint64_t before = settled(c);

		read_some(blobs[i % NBLOBS], &sources[i % NBLOBS], i / NBLOBS * CHUNK, 1);
		while (settled(c) == before)
			usleep(1000);
	}
	assert_true(ovbd_cache_stats(c).nunstored > 10);
	close_blobs(blobs);
	ovbd_cache_close(c);
	test_cut_stop();
	assert_int_equal(test_cut_idle_syncs(), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled),
		cmocka_unit_test(test_evicted),
		cmocka_unit_test(test_never_synced),
		cmocka_unit_test(test_full),
	};
	int r;

	if (argc == 3) {
		ncuts = (unsigned)strtoul(argv[1], NULL, 0);
		seed = strtoull(argv[2], NULL, 0);
	}
	snprintf(dir, sizeof(dir), "power.%d.XXXXXX", (int)getpid());
	if (!mkdtemp(dir))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	clear();
	return r;
}
