// SPDX-License-Identifier: Apache-2.0
/* A blob that has become whole is held against its digest, once, and marked; what is wrong goes. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "remote/cache_impl.h"
#include "tests/lib/source.h"

#define CHUNK      4096u
#define SIZE       (40u * CHUNK + 1234)
#define NCHUNKS    41u
#define AUTO_CACHE OVBD_AUTO(ovbd_cache_closep) struct ovbd_cache
#define WRONG_KEY                                                                                  \
	"http://h:80 sha256:00000000000000000000000000000000000000000000000000000000000000aa "     \
	"165074"

static char dir[64], key[160], digest[OVBD_CACHE_SHA256_SIZE], said[OVBD_ERROR_SIZE];
static atomic_uint nsaid;
static struct test_source source;

static void digest_of_source(void)
{
	AUTO_FREE uint8_t *buf = malloc(SIZE);
	uint8_t md[32];
	int n = snprintf(digest, sizeof(digest), "sha256:");

	test_source_bytes(&source, buf, SIZE, 0);
	assert_true(EVP_Digest(buf, SIZE, md, NULL, EVP_sha256(), NULL));
	for (unsigned i = 0; i < 32; i++)
		n += snprintf(digest + n, sizeof(digest) - (size_t)n, "%02x", md[i]);
	snprintf(key, sizeof(key), "http://h:80 %s %u", digest, SIZE);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "whole.%d.XXXXXX", (int)getpid());
	test_source_init(&source, SIZE, 1);
	digest_of_source();
	atomic_store(&nsaid, 0);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void told_wrong(void *arg, const char *sentence)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s", sentence);
	atomic_fetch_add(&nsaid, 1);
}

static struct ovbd_cache *open_cache(void)
{
	const struct ovbd_cache_params p = {.chunk_size = CHUNK, .told_wrong = told_wrong};
	struct ovbd_cache *c = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_cache_open(dir, &p, &c, &err), err);
	return c;
}

static struct ovbd_blob *open_blob(struct ovbd_cache *c, const char *k)
{
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_cache_blob_open(c, k, &source.blob, &b, &err), err);
	return b;
}

/* Until so much has been stored, whatever of it. */
static void read_until_stored(struct ovbd_cache *c, struct ovbd_blob *b, uint64_t size)
{
	AUTO_FREE uint8_t *buf = malloc(SIZE);
	struct ovbd_error err;

	do {
		assert_ok(ovbd_blob_pread(b, buf, SIZE, 0, &err), err);
		usleep(1000);
	} while (ovbd_cache_stats(c).stored_bytes < size);
}

static void wait_right(struct ovbd_cache *c, uint64_t n)
{
	while (ovbd_cache_stats(c).nwhole < n)
		usleep(1000);
}

static void wait_wrong(struct ovbd_cache *c, uint64_t n)
{
	while (ovbd_cache_stats(c).nwrong < n)
		usleep(1000);
}

static bool peek(struct ovbd_cache *c, const char *k, struct cache_file *ret)
{
	char name[CACHE_NAME_SIZE];

	cache_name(k, name);
	return cache_file_peek(c, name, ret);
}

static bool is_marked(struct ovbd_cache *c, const char *k)
{
	struct cache_file f;
	bool marked;

	assert_true(peek(c, k, &f));
	marked = cache_whole_is_marked(&f);
	cache_file_unpeek(&f);
	return marked;
}

static uint64_t present_of(struct ovbd_cache *c, const char *k)
{
	struct ovbd_cache_item item;
	char name[CACHE_NAME_SIZE];
	struct cache_file f;

	cache_name(k, name);
	assert_true(cache_item_fill(c, name, &f, &item));
	cache_file_unpeek(&f);
	return item.present;
}

static void mark_path(char ret[256], const char *ending)
{
	char name[CACHE_NAME_SIZE];

	cache_name(key, name);
	snprintf(ret, 256, "%s/ovbd-cache-1/%s.%s", dir, name, ending);
}

/* Stored, found right and marked. */
static void make_marked(void)
{
	AUTO_CACHE *c = open_cache();
	struct ovbd_blob *b = open_blob(c, key);

	read_until_stored(c, b, SIZE);
	wait_right(c, 1);
	assert_true(is_marked(c, key));
	ovbd_blob_close(b);
}

static void wait_idle(struct ovbd_cache *c)
{
	bool wanted = true;

	while (wanted) {
		wanted = false;
		pthread_mutex_lock(&c->lock);
		for (const struct cache_file *f = c->files; f; f = f->next)
			wanted |= f->wanted;
		pthread_mutex_unlock(&c->lock);
		usleep(1000);
	}
}

/* One that was marked is not looked at again; one that was not is, when it is opened. */
static void test_once(void **state)
{
	char path[256];

	(void)state;
	make_marked();
	{
		AUTO_CACHE *c = open_cache();
		struct ovbd_blob *b = open_blob(c, key);

		read_until_stored(c, b, 0);
		wait_idle(c);
		ovbd_blob_close(b);
		assert_int_equal(ovbd_cache_stats(c).nwhole, 0);
	}
	mark_path(path, "whole");
	assert_int_equal(unlink(path), 0);
	{
		AUTO_CACHE *c = open_cache();
		struct ovbd_blob *b = open_blob(c, key);

		wait_right(c, 1);
		assert_true(is_marked(c, key));
		ovbd_blob_close(b);
	}
	assert_int_equal(source.nbytes, SIZE);
	assert_int_equal(nsaid, 0);
}

/* One byte of it that changes, in any way, and it is none. */
static void test_torn_mark(void **state)
{
	char path[256];

	(void)state;
	make_marked();
	mark_path(path, "whole");
	for (unsigned i = 0; i < 34; i++) {
		AUTO_CACHE *admin = NULL;
		uint8_t byte;
		int fd = open(path, O_RDWR);

		assert_int_equal(ovbd_cache_attach(dir, &admin, NULL), 0);
		assert_true(is_marked(admin, key));
		if (i == 33) {
			assert_int_equal(ftruncate(fd, 31), 0);
		} else if (i == 32) {
			assert_int_equal(pwrite(fd, "", 1, 32), 1);
		} else {
			assert_int_equal(pread(fd, &byte, 1, i), 1);
			byte ^= 4;
			assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		}
		assert_false(is_marked(admin, key));
		byte ^= 4;
		if (i == 32)
			assert_int_equal(ftruncate(fd, 32), 0);
		else if (i < 32)
			assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		close(fd);
	}
}

/* A chunk that has gone, or has come anew, is not what was looked at. */
static void test_changed_map(void **state)
{
	AUTO_CACHE *admin = NULL;
	struct cache_file f;

	(void)state;
	make_marked();
	assert_int_equal(ovbd_cache_attach(dir, &admin, NULL), 0);
	assert_true(peek(admin, key, &f));
	for (unsigned i = 0; i < NCHUNKS; i++) {
		const struct cache_entry was = cache_entry_load(&f, i);
		struct cache_entry e = was;

		e.used += 1000; /* this is no change */
		assert_int_equal(cache_entry_store(&f, i, &e), 0);
		assert_true(cache_whole_is_marked(&f));
		e.present = false;
		assert_int_equal(cache_entry_store(&f, i, &e), 0);
		assert_false(cache_whole_is_marked(&f));
		e.present = true;
		e.gen++;
		assert_int_equal(cache_entry_store(&f, i, &e), 0);
		assert_false(cache_whole_is_marked(&f));
		assert_int_equal(cache_entry_store(&f, i, &was), 0);
	}
	assert_true(cache_whole_is_marked(&f));
	cache_file_unpeek(&f);
}

/* Fetched anew, it is looked at anew; evicted, no mark is left. */
static void test_distrusted(void **state)
{
	AUTO_CACHE *admin = NULL;
	AUTO_CACHE *c = NULL;
	struct ovbd_blob *b;
	struct ovbd_error err;
	char path[256];
	uint64_t left;

	(void)state;
	make_marked();
	c = open_cache();
	b = open_blob(c, key);
	assert_true(ovbd_blob_distrust(b, 3 * CHUNK, 1));
	read_until_stored(c, b, CHUNK);
	wait_right(c, 1);
	assert_true(is_marked(c, key));
	ovbd_blob_close(b);
	ovbd_cache_close(c);
	c = NULL;
	mark_path(path, "whole");
	assert_int_equal(access(path, F_OK), 0);
	assert_ok(ovbd_cache_attach(dir, &admin, &err), err);
	assert_ok(ovbd_cache_gc(admin, 0, &left, &err), err);
	assert_int_equal(access(path, F_OK), -1);
	assert_true(left <= 4096); /* of the file "lock" */
}

/* The source lied once: all that there is goes, and what comes in its place is right. */
static void test_lie(void **state)
{
	AUTO_CACHE *c = open_cache();
	struct ovbd_blob *b = open_blob(c, key);
	struct ovbd_remote_metrics m;

	(void)state;
	source.lie = 1;
	read_until_stored(c, b, SIZE);
	wait_wrong(c, 1);
	read_until_stored(c, b, 2 * SIZE);
	wait_right(c, 1);
	assert_true(is_marked(c, key));
	ovbd_blob_close(b);
	assert_int_equal(source.nbytes, 2 * SIZE);
	assert_int_equal(nsaid, 1);
	assert_non_null(strstr(said, "http://h:80: all of it is in the cache, and its digest is "));
	assert_non_null(strstr(said, digest));
	ovbd_remote_metrics(&m);
	assert_int_not_equal(m.counters[OVBD_COUNT_WHOLE], 0);
	assert_int_not_equal(m.counters[OVBD_COUNT_WRONG], 0);
}

/* It is not what it should be, and never will be: said once, and not fetched for ever. */
static void test_always_wrong(void **state)
{
	AUTO_CACHE *c = open_cache();
	struct ovbd_blob *b = open_blob(c, WRONG_KEY);

	(void)state;
	read_until_stored(c, b, SIZE);
	wait_wrong(c, 1);
	assert_int_equal(present_of(c, WRONG_KEY), 0);
	read_until_stored(c, b, 2 * SIZE);
	wait_wrong(c, 2);
	read_until_stored(c, b, 3 * SIZE);
	wait_idle(c);
	assert_int_equal(present_of(c, WRONG_KEY), SIZE);
	assert_false(is_marked(c, WRONG_KEY));
	ovbd_blob_close(b);
	assert_int_equal(nsaid, 1);
	assert_int_equal(ovbd_cache_stats(c).nwrong, 2);
}

/* Two processes do not do the same; if one does not end it, the other does. */
static void test_another(void **state)
{
	AUTO_CACHE *admin = NULL;
	AUTO_CACHE *c = open_cache();
	struct ovbd_blob *b = open_blob(c, key);
	struct cache_file f;
	bool busy = false;

	(void)state;
	assert_int_equal(ovbd_cache_attach(dir, &admin, NULL), 0);
	assert_true(peek(admin, key, &f));
	assert_true(cache_lock_try(f.map_fd, CACHE_LOCK_AT - 2, 1));
	read_until_stored(c, b, SIZE);
	while (!busy) {
		pthread_mutex_lock(&c->lock);
		busy = c->files->wanted && c->files->due_ms > 0;
		pthread_mutex_unlock(&c->lock);
		usleep(1000);
	}
	assert_int_equal(ovbd_cache_stats(c).nwhole, 0);
	cache_file_unpeek(&f);
	wait_right(c, 1);
	ovbd_blob_close(b);
}

/* Closed in the midst of it. */
static void test_closed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		AUTO_CACHE *c = open_cache();
		struct ovbd_blob *b = open_blob(c, key);

		read_until_stored(c, b, 0);
		ovbd_blob_close(b);
	}
	{
		AUTO_CACHE *c = open_cache();
		struct ovbd_blob *b = open_blob(c, key);

		while (!is_marked(c, key))
			usleep(1000);
		ovbd_blob_close(b);
	}
}

struct verified {
	struct ovbd_cache_item item;
	struct ovbd_cache_damage damage;
};

static int take_verified(void *ctx, const struct ovbd_cache_item *item,
                         const struct ovbd_cache_damage *d)
{
	*(struct verified *)ctx = (struct verified){.item = *item, .damage = *d};
	return 0;
}

/* Without the thread: stored by who was closed before it became whole. */
static void store(const char *k)
{
	AUTO_CACHE *c = open_cache();
	struct ovbd_blob *b = open_blob(c, k);
	struct cache_file f;

	assert_true(peek(c, k, &f));
	assert_true(cache_lock_try(f.map_fd, CACHE_LOCK_AT - 2, 1));
	read_until_stored(c, b, SIZE);
	ovbd_blob_close(b);
	ovbd_cache_close(c);
	c = NULL;
	cache_file_unpeek(&f);
}

static struct verified verify(bool repair)
{
	AUTO_CACHE *admin = NULL;
	struct verified v = {.item.size = 1};
	struct ovbd_error err;

	assert_ok(ovbd_cache_attach(dir, &admin, &err), err);
	assert_ok(ovbd_cache_verify(admin, repair, take_verified, &v, &err), err);
	return v;
}

static void test_verify(void **state)
{
	struct verified v;

	(void)state;
	store(key);
	v = verify(false);
	assert_string_equal(v.damage.what.msg, "");
	assert_true(v.item.whole);
	assert_true(verify(false).item.whole);
}

static void test_verify_wrong(void **state)
{
	struct verified v;

	(void)state;
	store(WRONG_KEY);
	v = verify(false);
	assert_non_null(strstr(v.damage.what.msg, "its digest is sha256:"));
	assert_non_null(strstr(v.damage.what.msg, "not sha256:00000000"));
	assert_false(v.item.whole);
	assert_false(v.damage.repaired);
	assert_int_equal(verify(false).item.present, SIZE);
	assert_true(verify(true).damage.repaired);
	v = verify(false);
	assert_string_equal(v.damage.what.msg, "");
	assert_int_equal(v.item.present, 0);
}

/* What a killed process has left of a mark, or of what has one, goes. */
static void test_sweep(void **state)
{
	static const char *const endings[] = {"mark", "whole"};
	AUTO_CACHE *admin = NULL;
	struct ovbd_error err;
	uint64_t left;

	(void)state;
	ovbd_cache_close(open_cache());
	for (unsigned i = 0; i < 2; i++) {
		char path[256];
		int fd;

		mark_path(path, endings[i]);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_ok(ovbd_cache_attach(dir, &admin, &err), err);
	assert_ok(ovbd_cache_gc(admin, UINT64_MAX, &left, &err), err);
	for (unsigned i = 0; i < 2; i++) {
		char path[256];

		mark_path(path, endings[i]);
		assert_int_equal(access(path, F_OK), -1);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_once),         TEST(test_torn_mark), TEST(test_changed_map),
		TEST(test_distrusted),   TEST(test_lie),       TEST(test_always_wrong),
		TEST(test_another),      TEST(test_closed),    TEST(test_verify),
		TEST(test_verify_wrong), TEST(test_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
