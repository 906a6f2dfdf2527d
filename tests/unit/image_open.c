// SPDX-License-Identifier: Apache-2.0
/* Files of every format, made with our own writers, opened alone, as stacks and by
 * configurations. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/image.h"
#include "image/shared.h"
#include "image/tar.h"
#include "tests/lib/fault.h"

#define SIZE 65536u

static char dir[] = "/tmp/ovbd-test-XXXXXX";
static char path[9][128];
enum { RAW, LSMT, OVBD, TAR, ZFILE, CONFIG, BROKEN, PLAIN_TAR, LINK };

static uint8_t content[SIZE];

static struct ovbd_sink *create(int file)
{
	struct ovbd_error err;
	struct ovbd_sink *s;

	snprintf(path[file], sizeof(path[file]), "%s/%d", dir, file);
	assert_ok(ovbd_sink_create_file(path[file], NULL, &s, &err), err);
	return s;
}

static struct ovbd_sink *compress(struct ovbd_sink *take_s)
{
	const struct ovbd_zfile_params p = {.codec = OVBD_CODEC_LZ4,
	                                    .block_size = 4096,
	                                    .checksum = true,
	                                    .nthreads = 1};
	struct ovbd_error err;
	struct ovbd_sink *z;

	assert_ok(ovbd_zfile_create(take_s, &p, &z, &err), err);
	return z;
}

static void finish_bytes(struct ovbd_sink *take_s, const void *buf, size_t len)
{
	struct ovbd_error err;

	assert_ok(ovbd_sink_append(take_s, buf, len, &err), err);
	assert_ok(ovbd_sink_finish(take_s, &err), err);
	ovbd_sink_close(take_s);
}

/* A layer that holds byte from off on, 4 KiB long. */
static void finish_layer(struct ovbd_sink *take_s, uint8_t byte, uint64_t off)
{
	const struct ovbd_layer_params p = {.virtual_size = SIZE, .over_base = true};
	struct ovbd_layer_writer *w;
	struct ovbd_error err;
	uint8_t block[4096];

	memset(block, byte, sizeof(block));
	assert_ok(ovbd_layer_create(take_s, &p, &w, &err), err);
	assert_ok(ovbd_layer_put(w, off, block, sizeof(block), &err), err);
	assert_ok(ovbd_layer_finish(w, &err), err);
	ovbd_layer_writer_close(w);
}

static struct ovbd_sink *wrap(struct ovbd_sink *take_s)
{
	struct ovbd_error err;
	struct ovbd_sink *t;

	assert_ok(ovbd_tar_create(take_s, &t, &err), err);
	return t;
}

static int make_files(void **state)
{
	static const char config[] = "{\"lowers\": [{\"file\": \"1\"}, {\"file\": \"2\"}]}";
	static const char broken[] = "{\"lowers\": [{\"file\": \"1\"}, {\"file\": \"nowhere\"}]}";

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	memset(content, 'r', sizeof(content));
	finish_bytes(create(RAW), content, sizeof(content));
	finish_layer(create(LSMT), 'a', 0);
	finish_layer(compress(create(OVBD)), 'b', 4096);
	finish_layer(compress(wrap(create(TAR))), 'c', 0);
	finish_bytes(compress(create(ZFILE)), content, sizeof(content));
	finish_bytes(create(CONFIG), config, strlen(config));
	finish_bytes(create(BROKEN), broken, strlen(broken));
	finish_bytes(wrap(create(PLAIN_TAR)), content, sizeof(content));
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(path) / sizeof(path[0]); i++)
		unlink(path[i]);
	return rmdir(dir);
}

static struct ovbd_shared *shared; /* NULL: nothing is */

static int open_as(enum ovbd_format f, const int *files, size_t n, struct ovbd_image **ret,
                   struct ovbd_error *err)
{
	const struct ovbd_image_params p = {.format = f, .shared = shared};
	const char *names[8];

	for (size_t i = 0; i < n; i++)
		names[i] = path[files[i]];
	return ovbd_image_open(names, n, &p, ret, err);
}

/* The first byte of each of the first two blocks, and what there is to know of the last layer. */
static void check(const struct ovbd_image *img, char first, char second, enum ovbd_format format,
                  bool tar)
{
	const struct ovbd_image_layer *l = &img->layers[img->nlayers - 1];
	struct ovbd_error err;
	uint8_t buf[8192];

	assert_int_equal(img->blob->size, SIZE);
	assert_ok(ovbd_blob_pread(img->blob, buf, sizeof(buf), 0, &err), err);
	assert_int_equal(buf[0], first);
	assert_int_equal(buf[4096], second);
	assert_int_equal(l->format, format);
	assert_int_equal(l->tar, tar);
	assert_int_equal(l->zfile != NULL,
	                 format == OVBD_FORMAT_OVBD || format == OVBD_FORMAT_ZFILE);
	assert_int_equal(l->layer != NULL,
	                 format == OVBD_FORMAT_OVBD || format == OVBD_FORMAT_LSMT);
	if (l->layer) /* the stack holds all segments, once */
		assert_null(ovbd_layer_index(l->layer));
	assert_string_equal(l->name, l->shown);
}

static const struct {
	int files[3];
	size_t n;
	enum ovbd_format as, is;
	char first, second;
	bool tar;
} good[] = {
	{{RAW}, 1, OVBD_FORMAT_AUTO, OVBD_FORMAT_RAW, 'r', 'r', false},
	{{LSMT}, 1, OVBD_FORMAT_AUTO, OVBD_FORMAT_LSMT, 'a', 0, false},
	{{OVBD}, 1, OVBD_FORMAT_AUTO, OVBD_FORMAT_OVBD, 0, 'b', false},
	{{TAR}, 1, OVBD_FORMAT_AUTO, OVBD_FORMAT_OVBD, 'c', 0, true},
	{{TAR}, 1, OVBD_FORMAT_OVBD, OVBD_FORMAT_OVBD, 'c', 0, true},
	{{ZFILE}, 1, OVBD_FORMAT_AUTO, OVBD_FORMAT_ZFILE, 'r', 'r', false},
	{{LSMT, OVBD}, 2, OVBD_FORMAT_AUTO, OVBD_FORMAT_OVBD, 'a', 'b', false},
	{{LSMT, OVBD, TAR}, 3, OVBD_FORMAT_AUTO, OVBD_FORMAT_OVBD, 'c', 'b', true},
	{{CONFIG}, 1, OVBD_FORMAT_AUTO, OVBD_FORMAT_OVBD, 'a', 'b', false},
	{{CONFIG}, 1, OVBD_FORMAT_IMAGE, OVBD_FORMAT_OVBD, 'a', 'b', false},
	{{CONFIG, TAR}, 2, OVBD_FORMAT_AUTO, OVBD_FORMAT_OVBD, 'c', 'b', true},
};

static const struct {
	int files[3];
	size_t n;
	enum ovbd_format as;
	int code;
	const char *sentence;
} bad[] = {
	{{RAW}, 1, OVBD_FORMAT_OVBD, -EBADMSG, "is not of the format ovbd, but raw"},
	{{LSMT}, 1, OVBD_FORMAT_OVBD, -EBADMSG, "is not of the format ovbd, but lsmt"},
	{{OVBD}, 1, OVBD_FORMAT_LSMT, -EBADMSG, "is not of the format lsmt, but ovbd"},
	{{LSMT, RAW}, 2, OVBD_FORMAT_AUTO, -EBADMSG, "is no layer, but raw"},
	{{BROKEN}, 1, OVBD_FORMAT_AUTO, -ENOENT, "lowers[1]: nowhere does not exist"},
	{{RAW}, 1, OVBD_FORMAT_IMAGE, -EBADMSG, "line 1"},
	{{PLAIN_TAR}, 1, OVBD_FORMAT_AUTO, -ENOTSUP, "is a tar, but"},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
		struct ovbd_error err;

		assert_ok(open_as(good[i].as, good[i].files, good[i].n, &img, &err), err);
		check(img, good[i].first, good[i].second, good[i].is, good[i].tar);
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ovbd_image *img;
		struct ovbd_error err;

		assert_fails(open_as(bad[i].as, bad[i].files, bad[i].n, &img, &err), bad[i].code,
		             err, bad[i].sentence);
	}
}

/* The N-th allocation fails, for every N: an error, and nothing is leaked (ASan). */
static void no_memory(void)
{
	const int files[] = {CONFIG, TAR};

	for (long n = 1;; n++) {
		OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
		struct ovbd_error err;
		int r;

		test_fault_set(n);
		r = open_as(OVBD_FORMAT_AUTO, files, 2, &img, &err);
		if (!test_fault_hit()) {
			assert_ok(r, err);
			check(img, 'c', 'b', OVBD_FORMAT_OVBD, true);
			break;
		}
		assert_fails(r, -ENOMEM, err, "out of memory");
	}
}

static void test_no_memory(void **state)
{
	(void)state;
	no_memory();
	assert_int_equal(ovbd_shared_create(&shared, NULL), 0);
	no_memory();
	ovbd_shared_close(shared);
	shared = NULL;
}

static struct ovbd_image *open_one(int file)
{
	struct ovbd_image *img = NULL;
	struct ovbd_error err;

	assert_ok(open_as(OVBD_FORMAT_AUTO, &file, 1, &img, &err), err);
	return img;
}

/* What is the same is opened once, whatever it is called; what is not is told apart. */
static void test_shared(void **state)
{
	struct ovbd_image *a, *b, *c;

	(void)state;
	assert_int_equal(ovbd_shared_create(&shared, NULL), 0);
	snprintf(path[LINK], sizeof(path[LINK]), "%s/%d", dir, LINK);
	assert_int_equal(link(path[OVBD], path[LINK]), 0);
	a = open_one(OVBD);
	b = open_one(LINK);
	c = open_one(CONFIG); /* LSMT and OVBD */
	assert_int_equal(ovbd_shared_count(shared), 2);
	assert_ptr_equal(a->layers[0].zfile, b->layers[0].zfile);
	assert_ptr_equal(a->layers[0].zfile, c->layers[1].zfile);
	ovbd_image_close(a);
	check(b, 0, 'b', OVBD_FORMAT_OVBD, false);
	check(c, 'a', 'b', OVBD_FORMAT_OVBD, false);
	ovbd_image_close(c);
	assert_int_equal(ovbd_shared_count(shared), 1);
	/* another file of the same name: who has the old one keeps it */
	assert_int_equal(unlink(path[LINK]), 0);
	finish_layer(compress(create(LINK)), 'd', 0);
	a = open_one(LINK);
	assert_int_equal(ovbd_shared_count(shared), 2);
	check(a, 'd', 0, OVBD_FORMAT_OVBD, false);
	check(b, 0, 'b', OVBD_FORMAT_OVBD, false);
	ovbd_image_close(a);
	ovbd_image_close(b);
	assert_int_equal(ovbd_shared_count(shared), 0);
	ovbd_shared_close(shared);
	shared = NULL;
}

static void *open_and_close(void *arg)
{
	for (unsigned i = 0; i < 200; i++) {
		struct ovbd_image *img = open_one(i % 3 == 0 ? CONFIG : OVBD);

		check(img, i % 3 == 0 ? 'a' : 0, 'b', OVBD_FORMAT_OVBD, false);
		ovbd_image_close(img);
	}
	return arg;
}

static void test_shared_threads(void **state)
{
	pthread_t threads[8];

	(void)state;
	assert_int_equal(ovbd_shared_create(&shared, NULL), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(ovbd_shared_count(shared), 0);
	ovbd_shared_close(shared);
	shared = NULL;
}

static void test_too_many(void **state)
{
	const char *names[OVBD_LAYERS_MAX + 1];
	struct ovbd_image *img;
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < OVBD_LAYERS_MAX + 1; i++)
		names[i] = path[OVBD];
	assert_fails(ovbd_image_open(names, OVBD_LAYERS_MAX + 1, NULL, &img, &err), -E2BIG, err,
	             "at most 255");
	assert_ok(ovbd_image_open(names, OVBD_LAYERS_MAX, NULL, &img, &err), err);
	check(img, 0, 'b', OVBD_FORMAT_OVBD, false);
	ovbd_image_close(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_bad),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_shared),    cmocka_unit_test(test_shared_threads),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
