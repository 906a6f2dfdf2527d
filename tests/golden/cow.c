// SPDX-License-Identifier: Apache-2.0
/*
 * COW files written by Android's own tools, and what has been done to them: each reads, over its
 * base, as its manifest says, or is refused with its own sentence.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "ota/cow.h"
#include "ota/dm_snapshot.h"
#include "ota/exceptions.h"
#include "tests/lib/cow_fixtures.h"
#include "tests/lib/dm_snapshot.h"

static int open_view(const struct test_cow_fixture *f, const struct ovbd_cow_params *p,
                     struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct ovbd_blob *b, *base;
	struct ovbd_cow *c;
	int r;

	assert_int_equal(ovbd_blob_open_mem(f->cow.p, f->cow.len, &b, NULL), 0);
	r = ovbd_cow_open(b, p, &c, err);
	if (r < 0)
		return r;
	assert_int_equal(ovbd_blob_open_mem(f->old.p, f->old.len, &base, NULL), 0);
	return ovbd_cow_view_open(c, base, ret, err);
}

/* All of it, in one read, and in steps that no block has: both fail, or both give the same. */
static int read_all(struct ovbd_blob *b, uint8_t *buf, struct ovbd_error *err)
{
	uint8_t *steps = malloc((size_t)b->size);
	int r, r2 = 0;

	assert_non_null(steps);
	r = ovbd_blob_pread(b, buf, (size_t)b->size, 0, err);
	for (uint64_t off = 0; r2 == 0 && off < b->size; off += 2999)
		r2 = ovbd_blob_pread(b, steps + off, (size_t)ovbd_min(2999, b->size - off), off,
		                     err);
	assert_int_equal(r, r2);
	if (r == 0)
		assert_memory_equal(buf, steps, b->size);
	free(steps);
	return r;
}

static void check_right(const struct test_cow_fixture *f)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err = {""};
	uint8_t *buf = malloc(f->old.len);
	char has[65];

	assert_non_null(buf);
	if (open_view(f, NULL, &b, &err) < 0 || read_all(b, buf, &err) < 0)
		fail_msg("%s: %s", f->name, err.msg);
	assert_int_equal(b->size, f->old.len);
	test_sha256(buf, f->old.len, has);
	if (strcmp(has, f->wanted) != 0)
		fail_msg("%s: reads as %s, not %s", f->name, has, f->wanted);
	free(buf);
}

/* What is refused, and how. What is not here reads without an error: no reader can know better. */
static const struct {
	const char *name, *sentence;
} refusals[] = {
	{"x-trunc-7", "7 bytes are too few for a header"},
	{"x-v2-trunc-mid", "no footer: after "},
	{"x-v3-trunc-data", "its data end beyond the file"},
	{"x-v3-trunc-ops", "operations at "},
	{"x-magic", "does not begin with the magic"},
	{"x-magic-swapped", "does not begin with the magic"},
	{"x-major9", "version 9.0"},
	{"x-major0", "version 0.0"},
	{"x-minor1", "version 2.1"},
	{"x-hs-ffff", "version 2.0 with a header of 65535 bytes"},
	{"x-hs-10", "version 2.0 with a header of 10 bytes"},
	{"x-hs-0", "version 3.0 with a header of 0 bytes"},
	{"x-v2-footersize", "the size of the footer is 20, not 84"},
	{"x-bs-huge", "the size of a block is 2147483648, not 4096"},
	{"x-cluster-huge", "the next cluster is "},
	{"x-v3-merged-huge", "1099511627776 operations are said to be merged, of "},
	{"x-buffer-huge", "a scratch area of 4294963200 bytes"},
	{"x-v2-badtype", "a type that does not exist"},
	{"x-v2-type0", "no footer: after "},
	{"x-v2-newblock-big", "its block is beyond 2^32"},
	{"x-v2-source-big", "its source is beyond 2^48"},
	{"x-v2-source-eof", "its data are not where they should be"},
	{"x-v2-source-hdr", "its data are not where they should be"},
	{"x-v2-source-other", "its data are not where they should be"},
	{"x-v2-len0", "has no data"},
	{"x-v2-lenffff", "operation"},
	{"x-v2-comp9", "compressed by an algorithm that is not known"},
	{"x-v2-compmix", "compressed by another algorithm"},
	{"x-v2-comp0-one", "its data have not the length"},
	{"x-v2-footer-numops", "the footer at "},
	{"x-v2-cluster-jump", "the next cluster is 140737488355328 bytes on"},
	{"x-v2-seq-missing", "names block 9, which no operation writes"},
	{"x-v2-seq-len", "an order of merging of 7 bytes"},
	{"x-v3-opcount-giant", "1099511627776 operations, where there is room for "},
	{"x-v3-opcount-2p32", "4294967299 operations, where there is room for "},
	{"x-v3-opcount-u32max", "4294967295 operations, where there is room for "},
	{"x-v3-seqcount-giant", "1099511627776 entries of merge order"},
	{"x-v3-seq-missing", "names block 9, which no operation writes"},
	{"x-v3-seq-dup", "twice"},
	{"x-v3-cf7", "a compression factor that does not exist"},
	{"x-v3-cf-mismatch", "overlap"},
	{"x-v3-type0", "a type that does not exist"},
	{"x-v3-type15", "a type that does not exist"},
	{"x-v3-alg9", "compression algorithm 9"},
	{"x-v3-footersize", "the size of the footer is 84, not 0"},
	{"x-hist-A-badsha-hdr", "blocks of 4097 bytes, not 4096"},
	{"x-hist-A-badsha-ops", "the digest of its operations is wrong"},
};

static void check_corrupt(const struct test_cow_fixture *f)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err = {""};
	const char *sentence = NULL;
	uint8_t *buf = malloc(f->old.len);
	int r;

	assert_non_null(buf);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strcmp(f->name, refusals[i].name) == 0)
			sentence = refusals[i].sentence;
	r = open_view(f, NULL, &b, &err);
	if (r == 0)
		r = read_all(b, buf, &err);
	if (sentence ? r == 0 || !strstr(err.msg, sentence) : r != 0)
		fail_msg("%s: %d, %s", f->name, r, err.msg);
	free(buf);
}

/* Its labels are a way in; without one it is not read, unless nobody can tell that it ends
 * early. */
static void check_unfinalised(const struct test_cow_fixture *f)
{
	const struct ovbd_cow_params last = {.until = OVBD_COW_LAST_LABEL};
	const struct ovbd_cow_params one = {.until = OVBD_COW_LABEL, .label = 1};
	const struct ovbd_cow_params none = {.until = OVBD_COW_LABEL, .label = 77};
	struct ovbd_error err = {""};
	struct ovbd_blob *b;
	uint8_t *buf = malloc(f->old.len), *early = malloc(f->old.len);
	const bool v2 = strncmp(f->name, "v2", 2) == 0;

	assert_non_null(buf);
	assert_non_null(early);
	if (v2) {
		assert_int_equal(open_view(f, NULL, &b, &err), -EBADMSG);
		assert_non_null(strstr(err.msg, "it can be read up to its last label, 2"));
	}
	assert_int_equal(open_view(f, &last, &b, &err), 0);
	assert_int_equal(read_all(b, buf, &err), 0);
	ovbd_blob_close(b);
	assert_int_equal(open_view(f, &one, &b, &err), 0);
	assert_int_equal(read_all(b, early, &err), 0);
	ovbd_blob_close(b);
	assert_memory_not_equal(buf, early, f->old.len);
	assert_memory_not_equal(early, f->old.p, f->old.len);
	assert_int_equal(open_view(f, &none, &b, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "no label 77"));
	free(buf);
	free(early);
}

/* Two operations on a block: the first counts, as in the merge. */
static void check_ambiguous(const struct test_cow_fixture *f)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err = {""};
	struct ovbd_blob *mem;
	struct ovbd_cow *c;
	uint8_t *buf = malloc(f->old.len);

	assert_non_null(buf);
	assert_int_equal(ovbd_blob_open_mem(f->cow.p, f->cow.len, &mem, NULL), 0);
	assert_int_equal(ovbd_cow_open(mem, NULL, &c, &err), 0);
	assert_true(ovbd_cow_info(c)->nduplicates > 0);
	ovbd_cow_close(c);
	assert_int_equal(open_view(f, NULL, &b, &err), 0);
	assert_int_equal(read_all(b, buf, &err), 0);
	free(buf);
}

static void check(const struct test_cow_fixture *f, void *arg)
{
	(void)arg;
	if (strcmp(f->class, "corrupt") == 0)
		check_corrupt(f);
	else if (strcmp(f->class, "unfinalised") == 0)
		check_unfinalised(f);
	else if (strcmp(f->class, "ambiguous") == 0)
		check_ambiguous(f);
	else
		check_right(f);
}

static void test_fixtures(void **state)
{
	(void)state;
	test_cow_fixtures(check, NULL);
}

/* The list that snapuserd's debug output shows: a line with the counts, one with the header, and
 * one for each exception. */
static void check_exceptions(const char *name, const struct ovbd_blob *store)
{
	char file[256];
	struct test_bytes text;
	char *line, *rest;
	uint64_t i = 0;

	snprintf(file, sizeof(file), "dm-snapshot/%s.exceptions.txt.gz", name);
	text = test_cow_load(file);
	text.p[text.len] = 0;
	for (line = strtok_r((char *)text.p, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		unsigned long a, b, c;
		uint64_t old, new;

		if (sscanf(line, "num_sectors=%lu areas=%lu", &a, &b) == 2) {
			assert_int_equal(store->size / 512, a);
			assert_int_equal(ovbd_exceptions_areas(store), b);
		} else if (sscanf(line, "area=%lu old=%lu new=%lu", &a, &b, &c) == 3) {
			assert_true(i < ovbd_exceptions_count(store));
			ovbd_exceptions_get(store, i, &old, &new);
			if (i / 256 != a || old != b || new != c)
				fail_msg("%s: exception %u", name, (unsigned)i);
			i++;
		}
	}
	assert_int_equal(i, ovbd_exceptions_count(store));
	free(text.p);
}

/* What dm-snapshot makes of the store over the base is what the COW makes of it. */
static void check_snapshot(const uint8_t *store, size_t len, const struct test_bytes *old,
                           const struct test_bytes *cow)
{
	struct ovbd_blob *b, *base, *snapshot, *view;
	struct ovbd_dm_snapshot *s;
	struct ovbd_error err;
	struct ovbd_cow *c;
	uint8_t *got = malloc(old->len), *want = malloc(old->len);

	assert_true(got && want);
	assert_int_equal(ovbd_blob_open_mem(store, len, &b, NULL), 0);
	if (ovbd_dm_snapshot_open(b, &s, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(ovbd_blob_open_mem(old->p, old->len, &base, NULL), 0);
	assert_int_equal(ovbd_dm_snapshot_view_open(s, base, &snapshot, NULL), 0);
	assert_int_equal(ovbd_blob_open_mem(cow->p, cow->len, &b, NULL), 0);
	assert_int_equal(ovbd_cow_open(b, NULL, &c, NULL), 0);
	assert_int_equal(ovbd_blob_open_mem(old->p, old->len, &base, NULL), 0);
	assert_int_equal(ovbd_cow_view_open(c, base, &view, NULL), 0);
	assert_int_equal(read_all(snapshot, got, &err), 0);
	assert_int_equal(read_all(view, want, &err), 0);
	assert_memory_equal(got, want, old->len);
	ovbd_blob_close(snapshot);
	ovbd_blob_close(view);
	free(got);
	free(want);
}

/* The devices that the real one has made of them, for dm-snapshot. */
static void test_exceptions(void **state)
{
	static const struct {
		const char *name, *sha256;
	} cases[] = {
		{"v2-copy", "c09b9f130690d1c4d4c7ac3998eff1b75d2ce8084084859c053b0355bd2c42ab"},
		{"v2-zero", "95c180f1502eaf5cd3bd41c762b43f08ad5566c3b3eed34b6754ac8ee300c71c"},
		{"v2-empty", "ffa6fc16b82eaf8b962c4ea67cb989e04be1e2f527fb73ba7f63cfb5fc76ea7a"},
	};
	struct test_bytes old = test_cow_load("base.img");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file[64], has[65];
		struct ovbd_blob *b, *base, *store;
		struct ovbd_error err = {""};
		struct ovbd_cow *c;
		struct test_bytes cow;
		uint8_t *buf;

		snprintf(file, sizeof(file), "%s.cow", cases[i].name);
		cow = test_cow_load(file);
		assert_int_equal(ovbd_blob_open_mem(cow.p, cow.len, &b, NULL), 0);
		assert_int_equal(ovbd_cow_open(b, NULL, &c, &err), 0);
		assert_int_equal(ovbd_blob_open_mem(old.p, old.len, &base, NULL), 0);
		if (ovbd_exceptions_open(c, base, OVBD_EXCEPTIONS_MERGE, &store, &err) < 0)
			fail_msg("%s: %s", cases[i].name, err.msg);
		check_exceptions(cases[i].name, store);
		buf = malloc(store->size);
		assert_non_null(buf);
		assert_int_equal(read_all(store, buf, &err), 0);
		test_sha256(buf, store->size, has);
		assert_string_equal(has, cases[i].sha256);
		check_snapshot(buf, store->size, &old, &cow);
		free(buf);
		free(cow.p);
		ovbd_blob_close(store);
	}
	free(old.p);
}

/* A file with these bytes, without a name once it is closed. */
static struct ovbd_device *device_of(const struct test_bytes *b, int *ret_fd)
{
	char path[] = "/tmp/ovbd-golden-XXXXXX";
	struct ovbd_device *d;
	struct ovbd_error err;

	*ret_fd = mkstemp(path);
	assert_true(*ret_fd >= 0);
	assert_int_equal(write(*ret_fd, b->p, b->len), b->len);
	if (ovbd_device_open_file(path, &d, &err) < 0)
		fail_msg("%s", err.msg);
	unlink(path);
	return d;
}

static void check_merge(const char *name, const struct test_bytes *old, unsigned commits,
                        unsigned batch_max, unsigned nops, const char *want)
{
	char file[128], has[65];
	struct test_bytes cow;
	struct ovbd_device *c, *base, *store;
	struct ovbd_error err = {""};
	struct snapshot s;
	uint8_t *origin, count[8];
	int cow_fd, base_fd, n;

	snprintf(file, sizeof(file), "%s.cow", name);
	cow = test_cow_load(file);
	c = device_of(&cow, &cow_fd);
	base = device_of(old, &base_fd);
	origin = mmap(NULL, old->len, PROT_READ | PROT_WRITE, MAP_SHARED, base_fd, 0);
	assert_true(origin != MAP_FAILED);
	if (ovbd_exceptions_merge_open(c, base, &store, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
	assert_int_equal(snapshot_load(&s, store, origin, old->len / SNAPSHOT_CHUNK), 0);
	while ((n = snapshot_choose(&s, SNAPSHOT_AREA)) > 0) {
		for (int i = 0; i < n; i++)
			assert_int_equal(snapshot_copy(&s, (uint64_t)i), 0);
		assert_int_equal(snapshot_commit(&s), 0);
		snapshot_committed(&s);
	}
	assert_int_equal(n, 0);
	assert_int_equal(s.ncommits, commits);
	assert_int_equal(s.batch_max, batch_max);
	assert_int_equal(pread(cow_fd, count, 8, 26), 8);
	assert_int_equal(ovbd_get_le64(count), nops);
	test_sha256(origin, old->len, has);
	assert_string_equal(has, want);
	snapshot_free(&s);
	ovbd_device_close(store);
	munmap(origin, old->len);
	close(cow_fd);
	close(base_fd);
	free(cow.p);
}

/* The kernel merges them, in as many steps as it took with the real one. */
static void test_exceptions_merge(void **state)
{
	struct test_bytes list = test_cow_load("dm-snapshot/MANIFEST.tsv"),
			  old = test_cow_load("base.img");
	char *rest;
	int n = 0;

	(void)state;
	list.p[list.len] = 0;
	for (char *line = strtok_r((char *)list.p, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		unsigned commits, batch, nops;
		char name[64], want[65];

		if (sscanf(line, "%63s %*64s %*u %*u %*64s %*64s %u %u %u %64s", name, &commits,
		           &batch, &nops, want) != 5)
			continue;
		check_merge(name, &old, commits, batch, nops, want);
		n++;
	}
	assert_int_equal(n, 3);
	free(list.p);
	free(old.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixtures),
	                                   cmocka_unit_test(test_exceptions),
	                                   cmocka_unit_test(test_exceptions_merge)};

	if (!test_cow_fixtures_there())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
