// SPDX-License-Identifier: Apache-2.0
/*
 * The life of an image, against a model: a writable layer of each format over up to 8 layers is
 * written to, and becomes one of them, sealed in place or committed; a new one lies on top then.
 * Some of the layers are merged by `ovbd merge`; the writable one is put over fewer of them, is
 * made larger and smaller, and opened again. All is in files.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are of each format, OVBD_STEPS how many
 * steps each of them has: by hand, millions in all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/lib/rw_life.h"
#include "tests/unit/test.h"

#define CASES   1
#define STEPS   1000
#define RUN_MAX 48u /* sectors, of most writes */

enum what {
	WRITE,
	ZERO,
	DISCARD,
	FLUSH,
	REOPEN,
	RESIZE,
	SEAL,
	COMMIT,
	MERGE,
	REBASE,
	CHECK,
	NWHATS
};

static const struct {
	const char *name;
	unsigned of_thousand;
} kinds[NWHATS] = {
	{"writes", 640},    {"zeroes", 100}, {"discards", 80}, {"flushes", 120},
	{"reopenings", 20}, {"sizes", 10},   {"seals", 6},     {"commits", 6},
	{"merges", 6},      {"rebases", 6},  {"checks", 6},
};

static uint64_t counts[NWHATS];
static uint64_t depths[LIFE_LAYERS_MAX + 1]; /* steps over so many layers */

/* ---- steps ---- */

static uint64_t some_range(struct life *t, uint64_t *ret_n)
{
	const uint64_t at = life_below(t, t->nsectors);
	const uint64_t max = life_below(t, 100) ? RUN_MAX : t->nsectors;
	uint64_t first = at, n = 1 + life_below(t, max);

	if (life_below(t, 2)) { /* whole blocks */
		first = at / 8 * 8;
		n = (n + 7) / 8 * 8;
	}
	*ret_n = ovbd_min(n, t->nsectors - first);
	return first;
}

static void do_write(struct life *t)
{
	static uint8_t buf[LIFE_SECTORS_MAX * LIFE_SECTOR];
	uint64_t n, at = some_range(t, &n);
	struct ovbd_error err = {""};

	for (uint64_t i = 0; i < n; i++) {
		t->model[at + i] = t->next++;
		life_fill(t->model[at + i], buf + i * LIFE_SECTOR);
	}
	life_must(t,
	          ovbd_device_pwrite(t->device, buf, n * LIFE_SECTOR, at * LIFE_SECTOR,
	                             life_below(t, 30) ? 0 : OVBD_WRITE_FUA, &err),
	          &err);
}

static void do_zero(struct life *t, bool discard)
{
	uint64_t n, at = some_range(t, &n);
	struct ovbd_error err = {""};

	life_must(t,
	          discard ? ovbd_device_discard(t->device, at * LIFE_SECTOR, n * LIFE_SECTOR, &err)
	                  : ovbd_device_write_zeroes(t->device, at * LIFE_SECTOR, n * LIFE_SECTOR,
	                                             0, &err),
	          &err);
	memset(&t->model[at], 0, n * sizeof(t->model[0]));
}

static void do_flush(struct life *t)
{
	struct ovbd_error err = {""};

	life_must(t, ovbd_device_flush(t->device, &err), &err);
}

static void do_reopen(struct life *t)
{
	do_flush(t);
	life_close_top(t);
	life_open_top(t);
}

static void do_resize(struct life *t)
{
	const uint64_t n = 64 + life_below(t, LIFE_SECTORS_MAX - 64);
	struct ovbd_error err = {""};

	life_must(t, ovbd_rw_resize(t->device, n * LIFE_SECTOR, &err), &err);
	if (n < t->nsectors)
		memset(&t->model[n], 0, (t->nsectors - n) * sizeof(t->model[0]));
	t->nsectors = n;
	t->most = ovbd_max(t->most, n);
}

/* Beyond the end of what is beneath there is nothing, whatever its layers have there. */
static void forget_beyond(struct life *t)
{
	if (t->nsectors < LIFE_SECTORS_MAX)
		memset(&t->model[t->nsectors], 0,
		       (LIFE_SECTORS_MAX - t->nsectors) * sizeof(t->model[0]));
}

static void do_merge(struct life *t)
{
	const char *build = getenv("OVBD_BUILD");
	const unsigned from = (unsigned)life_below(t, t->nlayers - 1);
	const unsigned to = from + 1 + (unsigned)life_below(t, t->nlayers - 1 - from);
	char command[2048];
	int n = snprintf(command, sizeof(command), "%s/tools/ovbd merge -q %s --from %u --to %u",
	                 build ? build : ".", life_below(t, 2) ? "-O lsmt" : "-O lsmt -j1", from,
	                 to);

	for (unsigned i = 0; i < t->nlayers; i++)
		n += snprintf(command + n, sizeof(command) - (size_t)n, " %s",
		              life_layer_path(t, t->names[i]));
	snprintf(command + n, sizeof(command) - (size_t)n, " %s", life_layer_path(t, t->nfiles));
	if (system(command) != 0)
		life_die(t, command);
	do_flush(t);
	life_close_top(t);
	for (unsigned i = from; i <= to; i++)
		unlink(life_layer_path(t, t->names[i]));
	t->names[from] = t->nfiles++;
	memmove(&t->names[from + 1], &t->names[to + 1],
	        (t->nlayers - to - 1) * sizeof(t->names[0]));
	t->nlayers -= to - from;
	life_open_top(t);
	life_check_all(t);
}

/* What was on top is the file `number` now. */
static void push(struct life *t)
{
	t->names[t->nlayers++] = t->nfiles++;
	forget_beyond(t);
	life_make_top(t);
	life_check_all(t);
	while (t->nlayers > LIFE_LAYERS_MAX)
		do_merge(t);
}

static void do_seal(struct life *t)
{
	struct ovbd_error err = {""};

	life_must(t, ovbd_rw_seal(t->device, &err), &err);
	life_close_top(t);
	assert_int_equal(rename(life_path_of(t, "data"), life_layer_path(t, t->nfiles)), 0);
	life_remove_top(t);
	push(t);
}

static void do_commit(struct life *t)
{
	const struct ovbd_layer_params p = {
		.virtual_size = t->nsectors * LIFE_SECTOR,
		.over_base = t->nlayers > 0,
	};
	struct ovbd_layer_writer *w;
	struct ovbd_error err = {""};
	struct ovbd_sink *s;

	life_must(t, ovbd_sink_create_file(life_layer_path(t, t->nfiles), NULL, &s, &err), &err);
	life_must(t, ovbd_layer_create(s, &p, &w, &err), &err);
	life_must(t, ovbd_rw_commit(t->device, w, t->nlayers > 0, &err), &err);
	life_must(t, ovbd_layer_finish(w, &err), &err);
	ovbd_layer_writer_close(w);
	life_close_top(t);
	life_remove_top(t);
	push(t);
}

/* Over the lowest n layers, with what the others held. A part of a block at the end may have more
 * than is told of it here. */
static void do_rebase(struct life *t)
{
	const unsigned less = (unsigned)life_below(t, ovbd_min(t->nlayers, 2) + 1);
	const unsigned n = t->nlayers - less;
	struct ovbd_blob *to;
	struct ovbd_error err = {""};
	uint8_t raw[LIFE_SECTOR];
	uint64_t written;

	if (t->nsectors % 8 != 0)
		return;
	to = life_open_layers(t, n);
	life_must(t, ovbd_rw_rebase(t->device, to, NULL, NULL, &written, &err), &err);
	life_check_all(t);
	forget_beyond(t);
	for (uint64_t i = t->most; to && i < to->size / LIFE_SECTOR; i++) {
		life_must(t, ovbd_blob_pread(to, raw, LIFE_SECTOR, i * LIFE_SECTOR, &err), &err);
		t->model[i] = life_number_of(raw);
	}
	ovbd_blob_close(to);
	life_close_top(t);
	for (unsigned i = n; i < t->nlayers; i++)
		unlink(life_layer_path(t, t->names[i]));
	t->nlayers = n;
	life_open_top(t);
	life_check_all(t);
}

static enum what choose(struct life *t)
{
	uint64_t at = life_below(t, 1000);

	for (unsigned i = 0; i < NWHATS; i++) {
		if (at < kinds[i].of_thousand)
			return (enum what)i;
		at -= kinds[i].of_thousand;
	}
	return CHECK;
}

static void do_check(struct life *t)
{
	uint64_t n, at = some_range(t, &n);

	if (life_below(t, 4) == 0)
		life_check_all(t);
	else
		life_check_range(t, at, n);
}

static void step(struct life *t)
{
	const enum what what = choose(t);

	counts[what]++;
	depths[t->nlayers]++;
	switch (what) {
	case WRITE:
		do_write(t);
		break;
	case ZERO:
	case DISCARD:
		do_zero(t, what == DISCARD);
		break;
	case FLUSH:
		do_flush(t);
		break;
	case REOPEN:
		do_reopen(t);
		break;
	case RESIZE:
		do_resize(t);
		break;
	case SEAL:
		do_seal(t);
		break;
	case COMMIT:
		do_commit(t);
		break;
	case MERGE:
		if (t->nlayers > 1)
			do_merge(t);
		break;
	case REBASE:
		do_rebase(t);
		break;
	case CHECK:
	case NWHATS:
		do_check(t);
		break;
	}
}

static void run(enum life_format format, uint64_t seed, uint64_t nsteps, const char *dir)
{
	static struct life t;

	t = (struct life){.format = format, .seed = seed, .random = seed, .next = 1, .dir = dir};
	t.nsectors = 64 + life_below(&t, LIFE_SECTORS_MAX - 64);
	life_make_top(&t);
	for (; t.step < nsteps; t.step++)
		step(&t);
	life_check_all(&t);
	do_reopen(&t);
	life_check_all(&t);
	life_close_top(&t);
	life_remove_top(&t);
	for (unsigned i = 0; i < t.nlayers; i++)
		unlink(life_layer_path(&t, t.names[i]));
}

/* What was beyond the end of a device that became smaller is no part of the layer that is
 * sealed, but still of the file. */
static void test_shrunk(void **state)
{
	static struct life t;
	char dir[] = "/tmp/ovbd-life-XXXXXX";
	static const uint8_t buf[LIFE_SECTOR] = {1};

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (unsigned format = 0; format < LIFE_NFORMATS; format++) {
		t = (struct life){.format = (enum life_format)format, .dir = dir, .nsectors = 4096};
		life_make_top(&t);
		assert_int_equal(ovbd_device_pwrite(t.device, buf, LIFE_SECTOR, 4000 * LIFE_SECTOR,
		                                    0, NULL),
		                 0);
		assert_int_equal(ovbd_rw_resize(t.device, 64 * LIFE_SECTOR, NULL), 0);
		t.nsectors = 64;
		do_seal(&t);
		life_close_top(&t);
		life_remove_top(&t);
		unlink(life_layer_path(&t, t.names[0]));
	}
	assert_int_equal(rmdir(dir), 0);
}

/* Zeros of a sparse layer that were no more than a hole of its file, as nothing was beneath. */
static void test_bare_zeros(void **state)
{
	static struct life t;
	char dir[] = "/tmp/ovbd-life-XXXXXX";
	static uint8_t buf[64 * LIFE_SECTOR];
	struct ovbd_blob *to;
	struct ovbd_error err;
	uint64_t written;

	(void)state;
	memset(buf, 7, sizeof(buf));
	assert_non_null(mkdtemp(dir));
	for (unsigned format = 0; format < LIFE_NFORMATS; format++) {
		t = (struct life){.format = (enum life_format)format, .dir = dir, .nsectors = 64};
		life_make_top(&t);
		assert_int_equal(ovbd_device_write_zeroes(t.device, 0, 16384, 0, NULL), 0);
		assert_int_equal(ovbd_blob_open_mem(buf, sizeof(buf), &to, NULL), 0);
		assert_ok(ovbd_rw_rebase(t.device, to, NULL, NULL, &written, &err), err);
		ovbd_blob_close(to);
		assert_true(written == 16384 || written == sizeof(buf));
		assert_int_equal(written == 16384, format == LIFE_APPEND || format == LIFE_LOG);
		life_close_top(&t);
		life_remove_top(&t);
	}
	assert_int_equal(rmdir(dir), 0);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void test_lives(void **state)
{
	const uint64_t first = from_env("OVBD_SEED", 1), n = from_env("OVBD_CASES", CASES);
	const uint64_t nsteps = from_env("OVBD_STEPS", STEPS);
	/* in memory, where there is room: what is asked is not how a disk flushes */
	char shm[] = "/dev/shm/ovbd-life-XXXXXX", tmp[] = "/tmp/ovbd-life-XXXXXX";
	const char *dir = mkdtemp(shm);

	(void)state;
	if (!dir)
		dir = mkdtemp(tmp);
	assert_non_null(dir);
	for (uint64_t i = 0; i < n; i++)
		for (unsigned format = 0; format < LIFE_NFORMATS; format++)
			run((enum life_format)format, first + i, nsteps, dir);
	assert_int_equal(rmdir(dir), 0);
	printf("seeds %llu to %llu, %llu steps each, %u formats:", (unsigned long long)first,
	       (unsigned long long)(first + n - 1), (unsigned long long)nsteps,
	       (unsigned)LIFE_NFORMATS);
	for (unsigned i = 0; i < NWHATS; i++)
		printf(" %llu %s,", (unsigned long long)counts[i], kinds[i].name);
	printf(" over 0 to %u layers:", LIFE_LAYERS_MAX);
	for (unsigned i = 0; i <= LIFE_LAYERS_MAX; i++)
		printf(" %llu", (unsigned long long)depths[i]);
	printf("\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_shrunk),
	                                   cmocka_unit_test(test_bare_zeros),
	                                   cmocka_unit_test(test_lives)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
