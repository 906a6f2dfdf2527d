// SPDX-License-Identifier: Apache-2.0
/*
 * Layers written by overlaybd, bare and compressed, alone and in stacks, read to the sha256 of
 * their device, and pass the check. What only looks like a layer is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "lsmt/lsmt.h"
#include "zfile/zfile.h"

#define LAYERS_MAX 3
#define CHUNK      (1u << 20)
#define HEX_SIZE   65

static char dir[] = "/tmp/ovbd-golden-XXXXXX";

static void in_dir(char *ret, size_t size, const char *name)
{
	snprintf(ret, size, "%s/%s", dir, name);
}

/* The sum that EXPECTED.tsv has for a device. */
static void expected(const char *device, char ret[HEX_SIZE])
{
	FILE *f = fopen("EXPECTED.tsv", "r");
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *tab = strchr(line, '\t');

		if (!tab || (size_t)(tab - line) != strlen(device) ||
		    strncmp(line, device, strlen(device)) != 0)
			continue;
		memcpy(ret, tab + 1, HEX_SIZE - 1);
		ret[HEX_SIZE - 1] = '\0';
		fclose(f);
		return;
	}
	fail_msg("%s is not in EXPECTED.tsv", device);
}

static void sha256(struct ovbd_blob *b, const char *name, char ret[HEX_SIZE])
{
	static uint8_t buf[CHUNK];
	char path[64], command[128];
	struct ovbd_error err;
	FILE *f;

	in_dir(path, sizeof(path), "sum");
	snprintf(command, sizeof(command), "sha256sum >%s", path);
	f = popen(command, "w");
	assert_non_null(f);
	for (uint64_t off = 0; off < b->size; off += CHUNK) {
		const size_t n = (size_t)ovbd_min(CHUNK, b->size - off);

		if (ovbd_blob_pread(b, buf, n, off, &err) < 0)
			fail_msg("%s: %s", name, err.msg);
		assert_int_equal(fwrite(buf, 1, n, f), n);
	}
	assert_int_equal(pclose(f), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(ret, HEX_SIZE, f));
	fclose(f);
}

static bool ends_in(const char *s, const char *end)
{
	return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

/* name, or what comes out of it if it is packed. */
static struct ovbd_blob *open_blob(const char *name)
{
	char path[64], command[256];
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;
	int r;

	if (ends_in(name, ".zst")) {
		in_dir(path, sizeof(path), "unpacked");
		snprintf(command, sizeof(command), "zstd -qdfo %s %s", path, name);
		assert_int_equal(system(command), 0);
		name = path;
	}
	r = ovbd_blob_open_file(name, &b, &err);
	if (r == 0 && ovbd_zfile_probe(b, &err) == 1)
		r = ovbd_zfile_open(b, &b, &err);
	if (r < 0)
		fail_msg("%s: %s", name, err.msg);
	return b;
}

static int open_whole(struct ovbd_blob *take_b, struct ovbd_layer **ret, struct ovbd_error *err)
{
	return ovbd_layer_open(take_b, take_b->size, ret, err);
}

static struct ovbd_layer *open_layer(const char *name)
{
	struct ovbd_layer *l = NULL;
	struct ovbd_error err;

	if (open_whole(open_blob(name), &l, &err) < 0 || ovbd_layer_check(l, NULL, NULL, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
	return l;
}

static const struct {
	const char *device; /* in EXPECTED.tsv */
	const char *layers[LAYERS_MAX];
} stacks[] = {
	{"L0", {"lsmt/L0.lsmt"}},
	{"L0", {"lsmt/L0.sealed"}},
	{"L1", {"lsmt/L1.lsmt"}},
	{"L2", {"lsmt/L2.lsmt"}},
	{"L0+L1+L2", {"lsmt/M012.lsmt"}},
	{"zero 64 MiB", {"lsmt/empty.lsmt"}},
	{"L0+L1", {"lsmt/L0.lsmt", "lsmt/L1.lsmt"}},
	{"L0+L1+L2", {"lsmt/L0.lsmt", "lsmt/L1.lsmt", "lsmt/L2.lsmt"}},
	{"L0+L1+L2", {"lsmt/L0.sealed", "lsmt/L1.lsmt", "lsmt/L2.lsmt"}},
	{"L0+L1+L2", {"lsmt/L0.lsmt", "lsmt/M012.lsmt", "lsmt/empty.lsmt"}},
	{"L0", {"zfile/L0.commit.lz4.4k.crc.zf"}},
	{"L0", {"zfile/L0.commit.lz4.16k.crc.zf"}},
	{"L0", {"zfile/L0.commit.lz4.64k.crc.zf"}},
	{"L0", {"zfile/L0.commit.zstd.4k.crc.zf"}},
	{"L0", {"zfile/L0.commit.zstd.16k.crc.zf"}},
	{"L0", {"zfile/L0.commit.zstd.64k.crc.zf"}},
	{"L0", {"zfile/L0.lz4.4k.nocrc.trailer.zf"}},
	{"L0", {"zfile/L0.overlaybd-zfile.zstd.64k.crc.trailer.zf"}},
	{"L1", {"zfile/L1.commit.lz4.4k.crc.zf"}},
	{"L2", {"zfile/L2.commit.zstd.16k.crc.zf"}},
	{"L2", {"zfile/L2.commit.zstd.64k.crc.zf"}},
	{"L0+L1+L2",
         {"zfile/L0.commit.zstd.4k.crc.zf", "zfile/L1.commit.lz4.4k.crc.zf",
          "zfile/L2.commit.zstd.64k.crc.zf"}},
	{"A1", {"apply/A1.lsmt.zst"}},
	{"A1", {"apply/A1.zf"}},
	{"A1+A2", {"apply/A1.zf", "apply/A2.lsmt.zst"}},
};

static void test_stacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
		struct ovbd_layer *layers[LAYERS_MAX];
		char want[HEX_SIZE], got[HEX_SIZE];
		AUTO_BLOB *device = NULL;
		struct ovbd_error err;
		size_t n;

		for (n = 0; n < LAYERS_MAX && stacks[i].layers[n]; n++)
			layers[n] = open_layer(stacks[i].layers[n]);
		if (ovbd_stack_open(layers, n, &device, &err) < 0)
			fail_msg("%s: %s", stacks[i].layers[0], err.msg);
		sha256(device, stacks[i].layers[0], got);
		expected(stacks[i].device, want);
		if (strcmp(want, got) != 0)
			fail_msg("%s (and %zu more) does not read as %s", stacks[i].layers[0],
			         n - 1, stacks[i].device);
	}
}

/* What the files say of themselves. */
static void test_infos(void **state)
{
	static const struct {
		const char *name;
		uint64_t nsegments;
		bool sealed_header;
		const char *uuid, *parent_uuid, *tag;
	} infos[] = {
		{"lsmt/L0.lsmt", 13, true, "10000000-0000-4000-8000-000000000001",
	         "00000000-0000-0000-0000-000000000000", "layer zero"},
		{"lsmt/L1.lsmt", 8, true, "20000000-0000-4000-8000-000000000002",
	         "10000000-0000-4000-8000-000000000001", "layer one"},
		{"lsmt/L0.sealed", 15, false, "10000000-0000-4000-8000-000000000001",
	         "00000000-0000-0000-0000-000000000000", "layer0"},
		{"lsmt/M012.lsmt", 1119, true, "00000000-0000-0000-0000-000000000000",
	         "00000000-0000-0000-0000-000000000000", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		struct ovbd_layer *l = open_layer(infos[i].name);
		const struct ovbd_layer_info *info = ovbd_layer_info(l);

		assert_int_equal(info->virtual_size, 64 << 20);
		assert_int_equal(info->nsegments, infos[i].nsegments);
		assert_int_equal(info->sealed_header, infos[i].sealed_header);
		assert_string_equal(info->uuid, infos[i].uuid);
		assert_string_equal(info->parent_uuid, infos[i].parent_uuid);
		assert_string_equal(info->tag, infos[i].tag);
		ovbd_layer_close(l);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *name;
		int code;
		const char *text;
	} refused[] = {
		{"turbooci/ext4.fs.meta", -ENOTSUP, "a turboOCI layer"},
		{"turbooci/ext4.fs.meta.raw.zst", -ENOTSUP, "a turboOCI layer"},
		{"rw/L0.data", -EBADMSG, "lsmt trailer: no LSMT magic; the file is not sealed"},
		{"rw/RW.data", -EBADMSG, "lsmt trailer: no LSMT magic; the file is not sealed"},
		{"rw/E.data", -EBADMSG, "too few for a header and a trailer"},
		{"zfile/plain.p100001.bin", -EBADMSG, "lsmt header: no LSMT magic"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct ovbd_layer *l = NULL;
		struct ovbd_error err = {""};
		const int r = open_whole(open_blob(refused[i].name), &l, &err);

		if (r != refused[i].code || !strstr(err.msg, refused[i].text))
			fail_msg("%s: %d: %s", refused[i].name, r, err.msg);
	}
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
		cmocka_unit_test(test_stacks),
		cmocka_unit_test(test_infos),
		cmocka_unit_test(test_refused),
	};
	const char *root = getenv("OVBD_FIXTURES");

	if (!root || chdir(root) < 0 || chdir("overlaybd") < 0) {
		printf("no fixtures at OVBD_FIXTURES\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
