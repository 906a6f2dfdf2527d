// SPDX-License-Identifier: Apache-2.0
/* What is trimmed, over the end of who noted it: each block that was discarded as a whole and not
 * written since is discarded once more, and no other. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/trimmed.h"

#define BLOCK   1024u
#define NBLOCKS 1000u

static bool said[NBLOCKS]; /* what the device below was told */

static int take(struct ovbd_device *d, const void *buf, size_t len, uint64_t off, unsigned flags,
                struct ovbd_error *err)
{
	(void)d, (void)buf, (void)len, (void)off, (void)flags, (void)err;
	return 0;
}

static int zero(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                struct ovbd_error *err)
{
	return take(d, NULL, (size_t)len, off, flags, err);
}

static int hear(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	(void)d, (void)err;
	for (uint64_t i = (off + BLOCK - 1) / BLOCK; i < (off + len) / BLOCK; i++)
		said[i] = true;
	return 0;
}

static int flush(struct ovbd_device *d, struct ovbd_error *err)
{
	(void)d, (void)err;
	return 0;
}

static const struct ovbd_device_ops ops = {.pwrite = take,
                                           .write_zeroes = zero,
                                           .discard = hear,
                                           .flush = flush};

static struct ovbd_device *open_trimmed(const char *path, bool anew)
{
	const struct ovbd_trimmed_params p = {.path = path,
	                                      .size = NBLOCKS * BLOCK + 512,
	                                      .block_size = BLOCK,
	                                      .anew = anew};
	static uint8_t bytes[NBLOCKS * BLOCK + 512];
	struct ovbd_device *d;
	struct ovbd_error err = {0};
	struct ovbd_blob *b;

	assert_ok(ovbd_blob_open_mem(bytes, sizeof(bytes), &b, &err), err);
	assert_ok(ovbd_device_open_blob(b, &d, &err), err);
	d->ops = &ops;
	memset(said, 0, sizeof(said));
	assert_ok(ovbd_trimmed_open(d, &p, &d, &err), err);
	assert_string_equal(err.msg, "");
	return d;
}

static void step(struct ovbd_device *d, bool *model, uint64_t *random)
{
	const uint64_t off = test_random(random) % (NBLOCKS * BLOCK);
	const uint64_t len =
		1 + test_random(random) %
			    (d->blob->size - off < 200 * BLOCK ? d->blob->size - off : 200 * BLOCK);
	static const uint8_t buf[200 * BLOCK];
	struct ovbd_error err;

	if (test_random(random) % 2) {
		assert_ok(ovbd_device_discard(d, off, len, &err), err);
		for (uint64_t i = (off + BLOCK - 1) / BLOCK; i < (off + len) / BLOCK; i++)
			model[i] = true;
		return;
	}
	if (test_random(random) % 2)
		assert_ok(ovbd_device_pwrite(d, buf, (size_t)len, off, 0, &err), err);
	else
		assert_ok(ovbd_device_write_zeroes(d, off, len, 0, &err), err);
	for (uint64_t i = off / BLOCK; i <= (off + len - 1) / BLOCK && i < NBLOCKS; i++)
		model[i] = false;
}

static void test_again(void **state)
{
	char path[] = "/tmp/ovbd-trimmed-XXXXXX";
	bool model[NBLOCKS] = {false};
	uint64_t random = 1;
	struct ovbd_device *d;

	(void)state;
	close(mkstemp(path));
	d = open_trimmed(path, true);
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned n = 0; n < 5; n++)
			step(d, model, &random);
		ovbd_device_close(d);
		d = open_trimmed(path, false);
		assert_memory_equal(said, model, sizeof(said));
	}
	ovbd_device_close(d);
	d = open_trimmed(path, true); /* another device */
	memset(model, 0, sizeof(model));
	assert_memory_equal(said, model, sizeof(said));
	ovbd_device_close(d);
	unlink(path);
}

/* Where there is no place for it, all else goes on. */
static void test_no_file(void **state)
{
	const struct ovbd_trimmed_params p = {.path = "/nowhere/x",
	                                      .size = 4096,
	                                      .block_size = BLOCK};
	struct ovbd_device *d, *same;
	struct ovbd_error err = {0};
	struct ovbd_blob *b;

	(void)state;
	assert_ok(ovbd_blob_open_mem("", 0, &b, &err), err);
	assert_ok(ovbd_device_open_blob(b, &d, &err), err);
	same = d;
	assert_ok(ovbd_trimmed_open(d, &p, &d, &err), err);
	assert_ptr_equal(d, same);
	assert_non_null(strstr(err.msg, "must be trimmed again"));
	ovbd_device_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
