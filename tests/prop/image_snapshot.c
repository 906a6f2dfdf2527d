// SPDX-License-Identifier: Apache-2.0
/*
 * Snapshots of images in use, of all formats. Threads write numbered blocks and note when each
 * write was sent and answered. A snapshot must be the state at one moment: of each thread all
 * writes up to one, and none that was answered before another was sent that is in it. It stays so.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/device.h"
#include "base/thread.h"
#include "tests/lib/snapshot_image.h"
#include "tests/unit/test.h"

#define WRITES_MAX 2000000u
#define NSNAPSHOTS 8u

/* The layers of the configuration, without the writable one, as another configuration. */
static struct ovbd_image *open_lowers(const char *config, size_t n)
{
	char *path = test_snapshot_path("lowers.json");
	struct ovbd_image *img;
	json_t *root = json_load_file(config, 0, NULL), *lowers;

	assert_non_null(root);
	json_object_del(root, "upper");
	lowers = json_object_get(root, "lowers");
	while (json_array_size(lowers) > n)
		json_array_remove(lowers, json_array_size(lowers) - 1);
	assert_int_equal(json_array_size(lowers), n);
	assert_int_equal(json_dump_file(root, path, 0), 0);
	json_decref(root);
	img = test_snapshot_open(path);
	free(path);
	return img;
}

/* ---- writers ---- */

struct writer {
	pthread_t thread;
	struct ovbd_device *device;
	uint64_t number, random;
	_Atomic size_t n; /* writes that were sent */
	uint16_t *block;
	uint64_t *sent;
	_Atomic uint64_t *acked; /* 0: not yet */
};

static struct writer writers[TEST_WRITERS];
static _Atomic uint64_t stamp;
static atomic_bool stop;

static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint8_t buf[TEST_BLOCK];

	while (!atomic_load(&stop) && w->n < WRITES_MAX) {
		const size_t i = w->n;
		const unsigned flags = i % 64 == 0 ? OVBD_WRITE_FUA : 0;

		w->block[i] = (uint16_t)(test_random(&w->random) % TEST_BLOCKS);
		test_snapshot_fill(buf, w->number, i + 1);
		w->sent[i] = atomic_fetch_add(&stamp, 1);
		atomic_store(&w->n, i + 1);
		if (ovbd_device_pwrite(w->device, buf, TEST_BLOCK,
		                       ((w->number - 1) * TEST_BLOCKS + w->block[i]) * TEST_BLOCK,
		                       flags, NULL) < 0)
			abort();
		atomic_store(&w->acked[i], atomic_fetch_add(&stamp, 1));
	}
	return NULL;
}

static void start_writers(struct ovbd_device *d, uint64_t seed)
{
	atomic_store(&stop, false);
	atomic_store(&stamp, 1);
	for (unsigned i = 0; i < TEST_WRITERS; i++) {
		struct writer *w = &writers[i];

		*w = (struct writer){.device = d, .number = i + 1, .random = seed + i};
		w->block = calloc(WRITES_MAX, sizeof(w->block[0]));
		w->sent = calloc(WRITES_MAX, sizeof(w->sent[0]));
		w->acked = calloc(WRITES_MAX, sizeof(w->acked[0]));
		assert_true(w->block && w->sent && w->acked);
		assert_int_equal(ovbd_thread_start(&w->thread, write_on, w), 0);
	}
}

static void stop_writers(void)
{
	atomic_store(&stop, true);
	for (unsigned i = 0; i < TEST_WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
}

static void free_writers(void)
{
	for (unsigned i = 0; i < TEST_WRITERS; i++) {
		free(writers[i].block);
		free(writers[i].sent);
		free(writers[i].acked);
	}
}

/* ---- what is there ---- */

struct state {
	uint64_t seq[TEST_WRITERS][TEST_BLOCKS];
	uint64_t last[TEST_WRITERS]; /* writes of each that are in it */
};

static void read_state(struct ovbd_blob *b, bool base, struct state *ret)
{
	uint8_t buf[TEST_BLOCK], want[TEST_BLOCK];
	struct ovbd_error err;
	uint64_t v;

	assert_int_equal(b->size, TEST_SIZE);
	memset(ret, 0, sizeof(*ret));
	for (unsigned w = 0; w < TEST_WRITERS; w++)
		for (unsigned i = 0; i < TEST_BLOCKS; i++) {
			const uint64_t at = (uint64_t)w * TEST_BLOCKS + i;

			assert_ok(ovbd_blob_pread(b, buf, TEST_BLOCK, at * TEST_BLOCK, &err), err);
			memcpy(&v, buf, sizeof(v));
			ret->seq[w][i] = v & (UINT64_MAX >> 16);
			test_snapshot_fill(want, w + 1, ret->seq[w][i]);
			if (ret->seq[w][i] == 0 && !(base && at % 2 == 0))
				memset(want, 0, TEST_BLOCK);
			assert_memory_equal(buf, want, TEST_BLOCK);
			if (ret->seq[w][i] > ret->last[w])
				ret->last[w] = ret->seq[w][i];
		}
}

/* Of each thread all writes up to its last one there. */
static void check_complete(const struct state *s)
{
	static uint64_t want[TEST_BLOCKS];

	for (unsigned w = 0; w < TEST_WRITERS; w++) {
		memset(want, 0, sizeof(want));
		for (uint64_t i = 0; i < s->last[w]; i++)
			want[writers[w].block[i]] = i + 1;
		assert_memory_equal(want, s->seq[w], sizeof(want));
	}
}

/* One moment, between the stamps before and after. */
static void check_moment(const struct state *s, uint64_t before, uint64_t after)
{
	uint64_t newest = 0;

	for (unsigned w = 0; w < TEST_WRITERS; w++)
		if (s->last[w] > 0 && writers[w].sent[s->last[w] - 1] > newest)
			newest = writers[w].sent[s->last[w] - 1];
	assert_true(newest < after);
	for (unsigned w = 0; w < TEST_WRITERS; w++) {
		const uint64_t next = s->last[w]; /* the first that is missing */
		uint64_t acked;

		if (next >= atomic_load(&writers[w].n))
			continue;
		acked = atomic_load(&writers[w].acked[next]);
		if (acked > 0 && (acked < newest || acked < before))
			fail_msg("write %llu of %u was answered at %llu: missing, though one that "
			         "was sent at %llu is there, or the snapshot asked for at %llu",
			         (unsigned long long)next, w, (unsigned long long)acked,
			         (unsigned long long)newest, (unsigned long long)before);
	}
}

/* ---- snapshots under load ---- */

static struct state states[NSNAPSHOTS];

static void wait_for_writes(unsigned n)
{
	size_t from[TEST_WRITERS];

	for (unsigned w = 0; w < TEST_WRITERS; w++)
		from[w] = atomic_load(&writers[w].n);
	for (unsigned w = 0; w < TEST_WRITERS; w++)
		while (atomic_load(&writers[w].n) < from[w] + n)
			usleep(100);
}

static void snapshots(enum test_snapshot_format format, bool base)
{
	static const struct ovbd_snapshot_params p;
	char *config = test_snapshot_make(format, base);
	struct ovbd_image *img = test_snapshot_open(config), *lowers;
	static struct state now;
	struct ovbd_snapshot s;
	struct ovbd_error err;
	struct stat st;

	start_writers(img->upper, 1000 * format + base);
	for (unsigned i = 0; i < NSNAPSHOTS; i++) {
		uint64_t before, after;

		wait_for_writes(20);
		before = atomic_load(&stamp);
		assert_ok(ovbd_image_snapshot(img, &p, &s, &err), err);
		after = atomic_load(&stamp);
		assert_int_equal(s.nlayers, i + 1 + base);
		assert_true((s.index != NULL) == (format != TEST_LOG));
		assert_int_equal(stat(s.data, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
		ovbd_snapshot_release(&s);
		lowers = open_lowers(config, i + 1 + base);
		read_state(lowers->blob, base, &states[i]);
		ovbd_image_close(lowers);
		check_complete(&states[i]);
		check_moment(&states[i], before, after);
	}
	stop_writers();
	assert_int_equal(ovbd_device_flush(img->upper, NULL), 0);
	read_state(img->blob, base, &now);
	for (unsigned w = 0; w < TEST_WRITERS; w++)
		assert_int_equal(now.last[w], writers[w].n);
	check_complete(&now);
	ovbd_image_close(img);
	img = test_snapshot_open(config);
	assert_int_equal(img->nlayers, NSNAPSHOTS + base);
	read_state(img->blob, base, &states[0]); /* the first is compared below no more */
	assert_memory_equal(&now, &states[0], sizeof(now));
	ovbd_image_close(img);
	for (unsigned i = 1; i < NSNAPSHOTS; i++) {
		lowers = open_lowers(config, i + 1 + base);
		read_state(lowers->blob, base, &now);
		assert_memory_equal(&now, &states[i], sizeof(now));
		ovbd_image_close(lowers);
	}
	free_writers();
	free(config);
}

static void test_under_load(void **state)
{
	(void)state;
	for (enum test_snapshot_format f = 0; f < TEST_SNAPSHOT_NFORMATS; f++)
		snapshots(f, true);
}

static void test_over_nothing(void **state)
{
	(void)state;
	test_snapshot_clean();
	for (enum test_snapshot_format f = 0; f < TEST_SNAPSHOT_NFORMATS; f++)
		snapshots(f, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_under_load),
	                                   cmocka_unit_test(test_over_nothing)};

	return cmocka_run_group_tests(tests, test_snapshot_make_dir, test_snapshot_remove_dir);
}
