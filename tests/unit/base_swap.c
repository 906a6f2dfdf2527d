// SPDX-License-Identifier: Apache-2.0
/* One blob in the place of another, under those who read. */
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/blob.h"

#define NBLOBS   200u
#define NREADERS 8u

static atomic_uint nopen;
static atomic_bool done;

/* Says the same as all others. */
struct one {
	struct ovbd_blob blob;
	uint8_t byte;
};

static int one_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	(void)off;
	(void)err;
	memset(buf, OVBD_CONTAINER_OF(b, struct one, blob)->byte, len);
	return 0;
}

static void one_close(struct ovbd_blob *b)
{
	struct one *o = OVBD_CONTAINER_OF(b, struct one, blob);

	o->byte = 0;
	free(o);
	atomic_fetch_sub(&nopen, 1);
}

static char *one_key(struct ovbd_blob *b)
{
	(void)b;
	return strdup("one");
}

static struct ovbd_blob *make(void)
{
	static const struct ovbd_blob_ops ops = {.name = "one",
	                                         .pread = one_pread,
	                                         .key = one_key,
	                                         .close = one_close};
	struct one *o = malloc(sizeof(*o));

	assert_non_null(o);
	*o = (struct one){.blob = {.ops = &ops, .size = 1000}, .byte = 7};
	atomic_fetch_add(&nopen, 1);
	return &o->blob;
}

static void *read_always(void *arg)
{
	struct ovbd_error err;
	uint8_t buf[100];

	while (!atomic_load(&done))
		if (ovbd_blob_pread(arg, buf, sizeof(buf), 5, &err) < 0 || buf[50] != 7)
			abort();
	return NULL;
}

static void test_under_readers(void **state)
{
	pthread_t threads[NREADERS];
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_blob_open_swap(make(), &b, &err), err);
	for (unsigned i = 0; i < NREADERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_always, b), 0);
	for (unsigned i = 0; i < NBLOBS; i++) {
		assert_ok(ovbd_blob_swap(b, make(), &err), err);
		/* each reader holds one at most, and the blob one */
		assert_in_range(nopen, 1, NREADERS + 1);
	}
	atomic_store(&done, true);
	for (unsigned i = 0; i < NREADERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(nopen, 1);
	ovbd_blob_close(b);
	assert_int_equal(nopen, 0);
}

static void test_key(void **state)
{
	struct ovbd_blob *b = NULL, *plain = NULL;
	AUTO_FREE char *key = NULL, *none = NULL;
	static const uint8_t bytes[1000];
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_blob_open_swap(make(), &b, &err), err);
	assert_ok(ovbd_blob_key(b, &key, &err), err);
	assert_string_equal(key, "one");
	assert_ok(ovbd_blob_open_mem(bytes, sizeof(bytes), &plain, &err), err);
	assert_ok(ovbd_blob_swap(b, plain, &err), err);
	assert_ok(ovbd_blob_key(b, &none, &err), err);
	assert_null(none);
	assert_false(ovbd_blob_distrust(b, 0, 10));
	ovbd_blob_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_under_readers),
		cmocka_unit_test(test_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
