// SPDX-License-Identifier: Apache-2.0
/* Every file of tests/should-fail/lsmt is refused with its sentence: when it is opened, or, if
 * "check:" stands before it, by the check only. */
#include "tests/unit/test.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lsmt/lsmt.h"

static int open_layer(const char *path, struct ovbd_layer **ret, struct ovbd_error *err)
{
	struct ovbd_blob *b;
	const int r = ovbd_blob_open_file(path, &b, err);

	return r < 0 ? r : ovbd_layer_open(b, b->size, ret, err);
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

static void expect_refusal(const char *path)
{
	static const char only_check[] = "check: ";
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	struct ovbd_error err = {""};
	const char *wanted;
	char sentence[256];
	int r;

	read_sentence(path, sentence, sizeof(sentence));
	wanted = sentence;
	r = open_layer(path, &l, &err);
	if (strncmp(sentence, only_check, strlen(only_check)) == 0) {
		if (r < 0)
			fail_msg("%s: %s", path, err.msg);
		wanted += strlen(only_check);
		r = ovbd_layer_check(l, NULL, NULL, &err);
	}
	if (r != -EBADMSG && r != -ENOTSUP)
		fail_msg("%s: %d", path, r);
	if (!strstr(err.msg, wanted))
		fail_msg("%s: \"%s\" is not in \"%s\"", path, wanted, err.msg);
}

static void test_all(void **state)
{
	glob_t files;

	(void)state;
	assert_int_equal(glob("tests/should-fail/lsmt/*.bin", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++)
		expect_refusal(files.gl_pathv[i]);
	globfree(&files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
	};
	const char *source = getenv("OVBD_SOURCE");

	if (source && chdir(source) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
