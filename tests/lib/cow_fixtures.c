// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/cow_fixtures.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "tests/unit/test.h"

static char dir[512];

struct test_bytes test_cow_load(const char *name)
{
	char path[1024];
	struct test_bytes all = {.len = 0};
	size_t cap = 16u << 20;
	gzFile f;
	int n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = gzopen(path, "rb"); /* also reads what is not compressed */
	if (!f) {
		snprintf(path, sizeof(path), "%s/%s.gz", dir, name);
		f = gzopen(path, "rb");
	}
	if (!f)
		fail_msg("%s: not there", path);
	all.p = malloc(cap);
	assert_non_null(all.p);
	while ((n = gzread(f, all.p + all.len, (unsigned)(cap - all.len))) > 0)
		all.len += (size_t)n;
	assert_int_equal(n, 0);
	assert_true(all.len < cap);
	gzclose(f);
	return all;
}

/* "X" or "X+Y.delta". */
static struct test_bytes load_base(const char *name)
{
	char first[256];
	const char *plus = strchr(name, '+');
	struct test_bytes base, delta;

	snprintf(first, sizeof(first), "%.*s", plus ? (int)(plus - name) : 255, name);
	base = test_cow_load(first);
	if (!plus)
		return base;
	delta = test_cow_load(plus + 1);
	for (size_t at = 0; at + 4100 <= delta.len; at += 4100) {
		const size_t off = (size_t)ovbd_get_le32(delta.p + at) * 4096;

		assert_true(off + 4096 <= base.len);
		memcpy(base.p + off, delta.p + at + 4, 4096);
	}
	free(delta.p);
	return base;
}

void test_sha256(const void *p, size_t len, char ret[65])
{
	uint8_t raw[EVP_MAX_MD_SIZE];

	assert_int_equal(EVP_Digest(p, len, raw, NULL, EVP_sha256(), NULL), 1);
	for (size_t i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", raw[i]);
}

/* One field, up to a tab; what is empty too. */
static char *field(char **line)
{
	char *begin = *line, *tab = strchr(begin, '\t');

	*line = tab ? tab + 1 : begin + strlen(begin);
	if (tab)
		*tab = 0;
	return begin;
}

void test_cow_fixtures(void (*check)(const struct test_cow_fixture *f, void *arg), void *arg)
{
	char path[1024], *line = NULL;
	size_t cap = 0, n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/MANIFEST.tsv", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(getline(&line, &cap, f) > 0); /* the columns' names */
	while (getline(&line, &cap, f) > 0) {
		struct test_cow_fixture x = {.name = ""};
		char *at = line, sha[65], file[160];

		snprintf(x.name, sizeof(x.name), "%s", field(&at));
		snprintf(sha, sizeof(sha), "%s", field(&at));
		field(&at);
		snprintf(x.base, sizeof(x.base), "%s", field(&at));
		snprintf(x.class, sizeof(x.class), "%s", field(&at));
		snprintf(x.wanted, sizeof(x.wanted), "%s", field(&at));
		snprintf(file, sizeof(file), "%s.cow", x.name);
		x.cow = test_cow_load(file);
		x.old = load_base(x.base);
		test_sha256(x.cow.p, x.cow.len, path);
		assert_string_equal(path, sha);
		check(&x, arg);
		n++;
		free(x.cow.p);
		free(x.old.p);
	}
	free(line);
	fclose(f);
	assert_true(n > 90);
	printf("%zu files\n", n);
}

bool test_cow_fixtures_there(void)
{
	const char *fixtures = getenv("OVBD_FIXTURES");

	snprintf(dir, sizeof(dir), "%s/android-cow", fixtures ? fixtures : "");
	if (fixtures && access(dir, R_OK) == 0)
		return true;
	printf("skipped: %s is not there\n", dir);
	return false;
}
