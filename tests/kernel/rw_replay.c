// SPDX-License-Identifier: Apache-2.0
/*
 * rw_replay FORMAT BASE LOG NCUTS SEED COMMAND: what a file system has written to a disk that was
 * BASE, as dm-log-writes has it in LOG, is written to a writable layer over BASE, of the FORMAT
 * (0 ovbd-rw, 1 append, 2 sparse). The power of that layer's disks is cut at NCUTS places, and
 * afterwards COMMAND is run, which is to succeed: in its directory "cut" is what the layer reads as
 * then, and "synced" has the marks whose time had come.
 *
 * The log: Documentation/admin-guide/device-mapper/log-writes.rst, and dm-log-writes.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/power.h"
#include "tests/unit/test.h"

#define LOG_MAGIC   UINT64_C(0x6a736677736872)
#define LOG_FLUSH   1u
#define LOG_FUA     2u
#define LOG_DISCARD 4u
#define LOG_MARK    8u
#define HEADER      32u /* of an entry; the marks' text follows */
#define NMARKS      4096u
#define NDISKS      TEST_POWER_DISKS

enum format { LOG, APPEND, SPARSE };

struct mark {
	char *text;
	size_t at; /* of the record */
};

struct test {
	enum format format;
	struct ovbd_blob *base, *log;
	const char *command;
	size_t sizes[NDISKS];
	uint8_t *bytes[NDISKS];
	struct test_power *power;
	struct ovbd_device *device;
	struct mark marks[NMARKS];
	size_t nmarks, nwritten;
};

static char **arguments;
static struct test t;

static struct ovbd_rw_file disk(struct test_power *p, uint8_t *const bytes[NDISKS], unsigned i)
{
	struct ovbd_device *d = test_power_disk(p, i, bytes[i], t.sizes[i]);

	return (struct ovbd_rw_file){d, d->blob->size};
}

static struct ovbd_device *open_layer(struct test_power *p, uint8_t *const bytes[NDISKS])
{
	struct ovbd_rw_pair pair = {.no_thread = true, .unit = 4096};
	const struct ovbd_rw_open_params params = {.no_thread = true};
	const struct ovbd_rw_file file = disk(p, bytes, 0);
	struct ovbd_blob *lower;
	struct ovbd_device *d;
	struct ovbd_error err;

	assert_ok(ovbd_blob_open_lent(t.base, &lower, &err), err);
	if (t.format == LOG) {
		assert_ok(ovbd_rw_open(&file, &params, lower, &d, &err), err);
		return d;
	}
	pair.data = file;
	pair.index = disk(p, bytes, 1);
	if (t.format == SPARSE)
		pair.map = disk(p, bytes, 2);
	else
		pair.data.end = test_power_end(p, 0, bytes[0]);
	assert_ok(ovbd_rw_open_pair(&pair, lower, &d, &err), err);
	return d;
}

static struct test_power *power_on(void)
{
	struct test_power *p = test_power_create();

	test_power_discards(p);
	if (t.format != LOG)
		test_power_holes(p);
	return p;
}

/* ---- the trace ---- */

struct entry {
	uint64_t off, len, flags, text_len;
	uint64_t next; /* where the next one is */
};

static struct entry entry_at(uint64_t at, uint8_t raw[512])
{
	struct entry e;

	assert_int_equal(ovbd_blob_pread(t.log, raw, 512, at, NULL), 0);
	e.off = ovbd_get_le64(raw) * 512;
	e.len = ovbd_get_le64(raw + 8) * 512;
	e.flags = ovbd_get_le64(raw + 16);
	e.text_len = ovbd_get_le64(raw + 24);
	e.next = at + 512 + (e.flags & LOG_DISCARD ? 0 : e.len);
	assert_true(e.text_len <= 512 - HEADER);
	return e;
}

static void write_entry(const struct entry *e, uint64_t at)
{
	uint8_t *buf = malloc((size_t)e->len);
	struct ovbd_error err;

	assert_non_null(buf);
	assert_int_equal(ovbd_blob_pread(t.log, buf, (size_t)e->len, at + 512, NULL), 0);
	assert_ok(ovbd_device_pwrite(t.device, buf, (size_t)e->len, e->off,
	                             e->flags & LOG_FUA ? OVBD_WRITE_FUA : 0, &err),
	          err);
	free(buf);
}

static void replay(const struct entry *e, uint64_t at, const uint8_t *raw)
{
	struct ovbd_error err;

	if (e->flags & LOG_MARK) {
		assert_true(t.nmarks < NMARKS);
		t.marks[t.nmarks++] = (struct mark){
			strndup((const char *)raw + HEADER, e->text_len),
			test_power_count(t.power),
		};
		return;
	}
	if (e->flags & LOG_FLUSH)
		assert_ok(ovbd_device_flush(t.device, &err), err);
	if (e->flags & LOG_DISCARD)
		assert_ok(ovbd_device_discard(t.device, e->off, e->len, &err), err);
	else if (e->len > 0)
		write_entry(e, at);
}

/* fn NULL: how many bytes are written in all */
static uint64_t each(void (*fn)(const struct entry *e, uint64_t at, const uint8_t *raw))
{
	uint64_t at = 512, n, total = 0;
	uint8_t raw[512];

	assert_int_equal(ovbd_blob_pread(t.log, raw, sizeof(raw), 0, NULL), 0);
	assert_true(ovbd_get_le64(raw) == LOG_MAGIC);
	assert_int_equal(ovbd_get_le32(raw + 24), 512); /* the size of its sectors */
	n = ovbd_get_le64(raw + 16);
	for (uint64_t i = 0; i < n; i++) {
		const struct entry e = entry_at(at, raw);

		if (fn)
			fn(&e, at, raw);
		total += e.next - at;
		at = e.next;
	}
	return total;
}

/* ---- the cuts ---- */

static void save(struct ovbd_blob *b)
{
	static uint8_t buf[1u << 16];
	FILE *f = fopen("cut", "w");

	assert_non_null(f);
	for (uint64_t off = 0; off < b->size; off += sizeof(buf)) {
		const size_t n = (size_t)ovbd_min(sizeof(buf), b->size - off);

		assert_int_equal(ovbd_blob_pread(b, buf, n, off, NULL), 0);
		if (!ovbd_is_zero(buf, n)) {
			assert_int_equal(fseeko(f, (off_t)off, SEEK_SET), 0);
			assert_int_equal(fwrite(buf, 1, n, f), n);
		}
	}
	assert_int_equal(fflush(f), 0);
	assert_int_equal(ftruncate(fileno(f), (off_t)b->size), 0);
	fclose(f);
}

static void check(void *arg, uint8_t *const disks[NDISKS], size_t at)
{
	struct test_power *p = power_on();
	struct ovbd_device *d = open_layer(p, disks);
	FILE *f = fopen("synced", "w");

	(void)arg;
	save(d->blob);
	ovbd_device_close(d);
	test_power_free(p);
	assert_non_null(f);
	for (size_t i = 0; i < t.nmarks && t.marks[i].at <= at; i++)
		fprintf(f, "%s\n", t.marks[i].text);
	fclose(f);
	if (system(t.command) != 0)
		fail_msg("cut at %zu of %zu", at, test_power_count(t.power));
}

static void make_layer(uint64_t size)
{
	const struct ovbd_rw_params p = {
		.virtual_size = t.base->size,
		.sparse = t.format == SPARSE,
	};
	struct ovbd_device *data, *index;
	struct ovbd_error err;

	t.sizes[0] = t.format == SPARSE ? (size_t)t.base->size + (1u << 20) : size;
	t.sizes[1] = t.sizes[2] = 4u << 20;
	for (unsigned i = 0; i < NDISKS; i++) {
		t.bytes[i] = calloc(1, t.sizes[i]);
		assert_non_null(t.bytes[i]);
	}
	t.power = power_on();
	data = disk(t.power, t.bytes, 0).device;
	index = disk(t.power, t.bytes, 1).device;
	if (t.format == LOG)
		assert_ok(ovbd_rw_create(data, &p, &err), err);
	else
		assert_ok(ovbd_rw_create_pair(data, index, &p, &err), err);
	ovbd_device_close(data);
	ovbd_device_close(index);
	test_power_free(t.power);
}

static void test_cuts(void **state)
{
	struct test_power_params how = {.nrandom = 1, .nsingle = 1, .check = check};
	const size_t n = strtoull(arguments[4], NULL, 0);
	uint8_t *before[NDISKS];
	uint64_t ncuts;

	(void)state;
	t.format = (enum format)atoi(arguments[1]);
	t.command = arguments[6];
	assert_int_equal(ovbd_blob_open_file(arguments[2], &t.base, NULL), 0);
	assert_int_equal(ovbd_blob_open_file(arguments[3], &t.log, NULL), 0);
	make_layer(each(NULL) * 3 / 2 + (16u << 20));
	t.power = power_on();
	for (unsigned i = 0; i < NDISKS; i++) {
		before[i] = malloc(t.sizes[i]);
		assert_non_null(before[i]);
		memcpy(before[i], t.bytes[i], t.sizes[i]);
		how.before[i] = before[i];
		how.sizes[i] = t.sizes[i];
	}
	t.device = open_layer(t.power, t.bytes);
	each(replay);
	ovbd_device_close(t.device);
	how.seed = strtoull(arguments[5], NULL, 0);
	how.every = test_power_count(t.power) / n + 1;
	how.first = how.seed % how.every;
	ncuts = test_power_cuts(t.power, &how);
	printf("%zu files, %zu writes and flushes, %llu cuts\n", t.nmarks,
	       test_power_count(t.power), (unsigned long long)ncuts);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts)};

	arguments = argv;
	return argc == 7 ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
