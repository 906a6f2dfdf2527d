// SPDX-License-Identifier: Apache-2.0
/* Every file of tests/should-fail/zfile is refused, at open or when it is read, with its
 * sentence. */
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "zfile/zfile.h"

static int open_and_read(const char *path, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = NULL;
	AUTO_BLOB *b = NULL;
	int r;

	r = ovbd_blob_open_file(path, &b, err);
	if (r == 0)
		r = ovbd_zfile_open(OVBD_MOVE(b), &b, err);
	if (r < 0)
		return r;
	assert_true(b->size < 1 << 20);
	buf = malloc((size_t)b->size);
	assert_non_null(buf);
	return ovbd_blob_pread(b, buf, (size_t)b->size, 0, err);
}

static void read_sentence(const char *bin, char *sentence, int size)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%.*s.txt", (int)strlen(bin) - 4, bin);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(sentence, size, f));
	sentence[strcspn(sentence, "\n")] = '\0';
	assert_true(strlen(sentence) > 10);
	fclose(f);
}

static void test_all(void **state)
{
	glob_t files;

	(void)state;
	assert_int_equal(glob("tests/should-fail/zfile/*.bin", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		struct ovbd_error err = {""};
		char sentence[256];
		const int r = open_and_read(files.gl_pathv[i], &err);

		read_sentence(files.gl_pathv[i], sentence, sizeof(sentence));
		if (r != -EBADMSG && r != -ENOTSUP)
			fail_msg("%s: %d", files.gl_pathv[i], r);
		if (!strstr(err.msg, sentence))
			fail_msg("%s: \"%s\" is not in \"%s\"", files.gl_pathv[i], sentence,
			         err.msg);
	}
	globfree(&files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
	const char *source = getenv("OVBD_SOURCE");

	if (source && chdir(source) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
