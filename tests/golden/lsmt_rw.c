// SPDX-License-Identifier: Apache-2.0
/*
 * Writable layers of the original: they read as they should, alone and over layers, take more
 * writes, and are committed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lsmt/rw.h"
#include "tests/unit/test.h"

#define SIZE     (64u << 20)
#define HEX_SIZE 65

static char dir[] = "/tmp/ovbd-golden-rw-XXXXXX";
static uint8_t device[SIZE], before[SIZE];

static void copy(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cp %s %s/%s && chmod u+w %s/%s", from, dir, to, dir,
	         to);
	assert_int_equal(system(command), 0);
}

static struct ovbd_rw_file open_copy(const char *name)
{
	struct ovbd_rw_file f;
	struct ovbd_error err;
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_ok(ovbd_device_open_growing(path, OVBD_DEVICE_GROWING_MAX, &f.device, &f.end, &err),
	          err);
	return f;
}

static struct ovbd_blob *open_stack(unsigned n)
{
	static const char *const names[] = {"lsmt/L0.lsmt", "lsmt/L1.lsmt", "lsmt/L2.lsmt"};
	struct ovbd_layer *layers[3];
	struct ovbd_blob *b;
	struct ovbd_error err;

	if (n == 0)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		assert_ok(ovbd_blob_open_file(names[i], &b, &err), err);
		assert_ok(ovbd_layer_open(b, b->size, &layers[i], &err), err);
	}
	assert_ok(ovbd_stack_open(layers, n, &b, &err), err);
	return b;
}

static struct ovbd_device *open_rw(unsigned nlayers)
{
	const struct ovbd_rw_pair files = {.data = open_copy("data"), .index = open_copy("index")};
	struct ovbd_device *d;
	struct ovbd_error err;

	assert_ok(ovbd_rw_open_pair(&files, open_stack(nlayers), &d, &err), err);
	return d;
}

static void read_all(struct ovbd_blob *b)
{
	struct ovbd_error err;

	assert_int_equal(b->size, SIZE);
	assert_ok(ovbd_blob_pread(b, device, SIZE, 0, &err), err);
}

static void expect(const char *name)
{
	char command[128], line[256], got[HEX_SIZE];
	FILE *f;

	snprintf(command, sizeof(command), "sha256sum >%s/sum", dir);
	f = popen(command, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(device, 1, SIZE, f), SIZE);
	assert_int_equal(pclose(f), 0);
	snprintf(command, sizeof(command), "%s/sum", dir);
	f = fopen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	fclose(f);
	f = fopen("EXPECTED.tsv", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == '\t')
			assert_memory_equal(line + strlen(name) + 1, got, HEX_SIZE - 1);
	fclose(f);
}

/* The layer over those below it reads as the device; its sum is that of the original. */
static void expect_committed(struct ovbd_device *d, const char *name)
{
	struct ovbd_layer_writer *w;
	struct ovbd_layer *l;
	struct ovbd_rw_info info;
	struct ovbd_sink *mem;
	struct ovbd_blob *b;
	struct ovbd_error err;
	uint8_t *p;
	size_t len;

	ovbd_rw_info(d, &info);
	assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
	assert_ok(ovbd_layer_create(mem,
	                            &(struct ovbd_layer_params){.virtual_size = SIZE,
	                                                        .uuid = info.uuid,
	                                                        .over_base = info.over_base},
	                            &w, &err),
	          err);
	assert_ok(ovbd_rw_commit(d, w, info.over_base, &err), err);
	assert_ok(ovbd_layer_finish(w, &err), err);
	p = ovbd_sink_mem_take(mem, &len);
	ovbd_layer_writer_close(w);
	assert_int_equal(ovbd_blob_open_mem(p, len, &b, NULL), 0);
	assert_ok(ovbd_layer_open(b, len, &l, &err), err);
	assert_ok(ovbd_stack_open(&l, 1, &b, &err), err);
	read_all(b);
	expect(name);
	ovbd_blob_close(b);
	free(p);
}

/* In place: it opens as a layer, and passes the check. */
static void expect_sealed(const char *name)
{
	struct ovbd_device *d = open_rw(0);
	struct ovbd_layer *l;
	struct ovbd_blob *b;
	struct ovbd_error err;
	char path[64];

	assert_ok(ovbd_rw_seal(d, &err), err);
	ovbd_device_close(d);
	snprintf(path, sizeof(path), "%s/data", dir);
	assert_ok(ovbd_blob_open_file(path, &b, &err), err);
	assert_ok(ovbd_layer_open(b, b->size, &l, &err), err);
	assert_ok(ovbd_layer_check(l, NULL, NULL, &err), err);
	assert_ok(ovbd_stack_open(&l, 1, &b, &err), err);
	read_all(b);
	expect(name);
	ovbd_blob_close(b);
}

static void test_fixture(const char *name, unsigned nlayers, const char *expected)
{
	static uint8_t block[1536];
	struct ovbd_device *d;
	struct ovbd_error err;
	char path[64];

	snprintf(path, sizeof(path), "rw/%s.data", name);
	copy(path, "data");
	snprintf(path, sizeof(path), "rw/%s.index", name);
	copy(path, "index");
	d = open_rw(nlayers);
	read_all(d->blob);
	expect(expected);
	if (nlayers == 0)
		expect_committed(d, expected);
	if (nlayers == 0) {
		ovbd_device_close(d);
		expect_sealed(expected);
		snprintf(path, sizeof(path), "rw/%s.data", name);
		copy(path, "data");
		d = open_rw(nlayers);
		read_all(d->blob);
	}
	memcpy(before, device, SIZE);
	memset(block, 0x77, sizeof(block));
	for (uint64_t off = 512; off < SIZE; off += SIZE / 7 / 512 * 512) {
		const size_t n = off + sizeof(block) <= SIZE ? sizeof(block) : 512;

		assert_ok(ovbd_device_pwrite(d, block, n, off, 0, &err), err);
		memcpy(before + off, block, n);
	}
	assert_ok(ovbd_device_write_zeroes(d, 1 << 20, 1 << 20, 0, &err), err);
	memset(before + (1 << 20), 0, 1 << 20);
	assert_ok(ovbd_device_flush(d, &err), err);
	ovbd_device_close(d);
	d = open_rw(nlayers);
	read_all(d->blob);
	assert_memory_equal(device, before, SIZE);
	ovbd_device_close(d);
}

static void test_fixtures(void **state)
{
	(void)state;
	test_fixture("L0", 0, "L0");
	test_fixture("RW", 0, "RW");
	test_fixture("RW", 3, "L0+L1+L2+RW");
}

static void test_empty(void **state)
{
	struct ovbd_rw_info info;
	struct ovbd_device *d;

	(void)state;
	copy("rw/E.data", "data");
	copy("rw/E.index", "index");
	d = open_rw(0);
	ovbd_rw_info(d, &info);
	assert_int_equal(d->blob->size, 1 << 30);
	assert_int_equal(info.nsegments, 0);
	assert_string_equal(info.uuid, "303B00FB-B593-48E0-892A-0E0BD5A79DA8");
	assert_string_equal(info.parent_uuid, "10000000-0000-4000-8000-000000000001");
	ovbd_device_close(d);
}

/* It is open once, whoever opens it: the second is told who has it. */
static void test_locked(void **state)
{
	struct ovbd_device *d, *other;
	struct ovbd_error err = {""};
	char path[64], text[64];
	uint64_t end;
	pid_t child;
	int status;

	(void)state;
	copy("rw/L0.data", "data");
	copy("rw/L0.index", "index");
	d = open_rw(0);
	snprintf(path, sizeof(path), "%s/data", dir);
	snprintf(text, sizeof(text), "is in use by process %d (", (int)getpid());
	assert_fails(ovbd_device_open_growing(path, 1 << 30, &other, &end, &err), -EBUSY, err,
	             text);
	child = fork();
	if (child == 0) {
		const int r = ovbd_device_open_growing(path, 1 << 30, &other, &end, &err);

		_exit(r == -EBUSY && strstr(err.msg, text) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	ovbd_device_close(d);
	ovbd_device_close(open_rw(0));
}

/* An index that was torn within a record: what is whole counts, and the next takes the place. */
static void test_torn(void **state)
{
	struct ovbd_device *d;
	char path[64];

	(void)state;
	copy("rw/L0.data", "data");
	copy("rw/L0.index", "index");
	snprintf(path, sizeof(path), "%s/index", dir);
	for (unsigned cut = 1; cut < 16; cut++) {
		assert_int_equal(truncate(path, 4304 - (off_t)cut), 0);
		d = open_rw(0);
		ovbd_device_close(d);
	}
	d = open_rw(0);
	memset(before, 0x55, 512);
	assert_int_equal(ovbd_device_pwrite(d, before, 512, 0, OVBD_WRITE_FUA, NULL), 0);
	ovbd_device_close(d);
	d = open_rw(0);
	read_all(d->blob);
	assert_memory_equal(device, before, 512);
	ovbd_device_close(d);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_locked),
	};
	const char *root = getenv("OVBD_FIXTURES");

	if (!root || chdir(root) < 0 || chdir("overlaybd") < 0) {
		puts("skipped: no fixtures here");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
