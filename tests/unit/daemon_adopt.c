// SPDX-License-Identifier: Apache-2.0
/* Devices that the kernel keeps, with a transport of the test's own in its place. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "daemon/stand_in.h"
#include "tests/unit/adopted.h"

static void test_life(void **arg)
{
	struct ovbd_devices *ds = open_manager();
	struct ovbd_error err;

	(void)arg;
	write_image(4096);
	assert_int_equal(adopt(ds, "/dev/uio1", false), 0);
	await(&nopened, 1);
	assert_int_equal(atomic_load(&last_status), 0);
	assert_int_equal(read_byte(atomic_load(&opened_fake)), 0);
	assert_int_equal(ovbd_devices_detach(ds, "a", OVBD_DETACH_FORCE, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "by configfs"));

	/* its successor, as its removal was never told; then a removal that is too late */
	assert_int_equal(adopt(ds, "/dev/uio2", false), 0);
	await(&nopened, 2);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), -ENOENT);
	await_state(ds, OVBD_DEVICE_SERVING);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio2", gone, NULL), 0);
	await(&ngone, 1);
	assert_int_equal(ovbd_devices_show(ds, NULL, NULL, NULL), 0);
	close_manager(ds);
}

static void test_refused(void **arg)
{
	struct ovbd_devices *ds = open_manager();

	(void)arg;
	assert_int_equal(adopt(ds, "/dev/uio1", false), 0);
	await(&nopened, 1);
	assert_int_equal(atomic_load(&last_status), -ENOENT);
	close_manager(ds);
}

/* What needs no image is opened before it, unless the device was kept. */
static void test_early(void **arg)
{
	struct ovbd_devices *ds = open_manager();

	(void)arg;
	kind = &early_kind;
	atomic_store(&nlate, 0);
	assert_int_equal(adopt(ds, "/dev/uio1", false), 0); /* there is no image */
	await(&nopened, 1);
	assert_int_equal(atomic_load(&last_status), -ENOENT);
	await(&nopen, 0);
	assert_int_equal(atomic_load(&nearly), 1);

	write_image(4096);
	for (int i = 0; i < 2; i++) {
		no_early = i == 1;
		assert_int_equal(adopt(ds, "/dev/uio1", false), 0);
		await(&nopened, 2 + i);
		await(&nopen, 1); /* the one before it has been closed */
		assert_int_equal(atomic_load(&last_status), 0);
		assert_int_equal(atomic_load(&nearly), 2 + i);
		assert_int_equal(atomic_load(&nlate), i);
		assert_int_equal(read_byte(atomic_load(&opened_fake)), 0);
	}
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), 0);
	await(&ngone, 1);

	kept_size = 4096;
	assert_int_equal(adopt(ds, "/dev/uio1", true), 0);
	await(&nopened, 4);
	assert_int_equal(atomic_load(&nearly), 3);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), 0);
	await(&ngone, 2);
	kind = &fake_kind;
	close_manager(ds);
}

static void test_heals(void **arg)
{
	struct ovbd_devices *ds = open_manager();
	int state = -1;

	(void)arg;
	kept_size = 4096;
	assert_int_equal(adopt(ds, "/dev/uio1", true), 0);
	await(&nopened, 1);
	assert_int_equal(atomic_load(&last_status), -ENOENT);
	assert_int_equal(ovbd_devices_show(ds, "a", find_state, &state), 1);
	assert_int_equal(read_byte(atomic_load(&opened_fake)), -ENOENT); /* after a second */

	write_image(512);
	ovbd_devices_retry(ds);
	while (read_byte(atomic_load(&opened_fake)) != -ESTALE)
		ovbd_devices_retry(ds);

	write_image(4096);
	ovbd_devices_retry(ds);
	await_state(ds, OVBD_DEVICE_SERVING);
	assert_int_equal(read_byte(atomic_load(&opened_fake)), 0);
	assert_int_equal(atomic_load(&opened_fake)->byte, 'x');
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), 0);
	await(&ngone, 1);
	close_manager(ds);
}

static atomic_int nresized, resized_status;

static void resized(void *arg, int status, const char *why)
{
	(void)arg;
	(void)why;
	atomic_store(&resized_status, status);
	atomic_fetch_add(&nresized, 1);
}

static void find_size(void *arg, const struct ovbd_device_view *v)
{
	uint64_t *size = arg;

	*size = v->size;
}

static void await_size(struct ovbd_devices *ds, uint64_t wanted)
{
	uint64_t size;

	await_state(ds, OVBD_DEVICE_SERVING);
	assert_int_equal(ovbd_devices_show(ds, "a", find_size, &size), 1);
	assert_int_equal(size, wanted);
	assert_int_equal(read_byte(atomic_load(&opened_fake)), 0);
}

/* A raw file that grows; also while nobody serves it. */
static void test_grows(void **arg)
{
	struct ovbd_devices *ds = open_manager();

	(void)arg;
	atomic_store(&nresized, 0);
	write_image(4096);
	assert_int_equal(ovbd_devices_resize(ds, "a", 1, resized, NULL, NULL), -ENOENT);
	assert_int_equal(adopt(ds, "/dev/uio1", false), 0);
	await(&nopened, 1);
	assert_int_equal(ovbd_devices_resize(ds, "a", 2048, resized, NULL, NULL), -ENOTSUP);
	assert_int_equal(ovbd_devices_resize(ds, "a", 4096, resized, NULL, NULL), 0);
	await(&nresized, 1);
	assert_int_equal(atomic_load(&resized_status), 0);

	/* which it has not, yet */
	assert_int_equal(ovbd_devices_resize(ds, "a", 8192, resized, NULL, NULL), 0);
	await(&nresized, 2);
	assert_int_equal(atomic_load(&resized_status), -EINVAL);
	await_size(ds, 4096);
	write_image(8192);
	assert_int_equal(ovbd_devices_resize(ds, "a", 8192, resized, NULL, NULL), 0);
	await(&nresized, 3);
	assert_int_equal(atomic_load(&resized_status), 0);
	await_size(ds, 8192);

	/* taken away meanwhile: who asked is told */
	write_image(16384);
	assert_int_equal(ovbd_devices_resize(ds, "a", 16384, resized, NULL, NULL), 0);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), 0);
	await(&nresized, 4);
	await(&ngone, 1);

	kept_size = 4096;
	assert_int_equal(adopt(ds, "/dev/uio2", true), 0);
	await(&nopened, 2);
	await_size(ds, 16384);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio2", gone, NULL), 0);
	await(&ngone, 2);
	close_manager(ds);
}

/* Taken away while its image is still waited for, and somebody reads. */
static void test_removed_unopened(void **arg)
{
	struct ovbd_devices *ds = open_manager();

	(void)arg;
	kept_size = 4096;
	assert_int_equal(adopt(ds, "/dev/uio1", true), 0);
	await(&nopened, 1);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), 0);
	await(&ngone, 1);
	close_manager(ds);
}

static void test_stand_in(void **arg)
{
	struct ovbd_device *file, *d;
	struct ovbd_stand_in *s;
	struct ovbd_error err = {0};
	uint8_t byte = 0;

	(void)arg;
	write_image(4096);
	assert_ok(ovbd_device_open_file(image, &file, &err), err);
	assert_ok(ovbd_stand_in_open(4096, true, 60000, &s, &err), err);
	d = ovbd_stand_in_device(s);
	ovbd_stand_in_explain(s, -EACCES, "denied");
	ovbd_stand_in_give_up(s);
	assert_fails(ovbd_blob_pread(d->blob, &byte, 1, 0, &err), -EACCES, err,
	             "the image is not open: denied");
	assert_int_equal(ovbd_device_pwrite(d, &byte, 1, 0, 0, NULL), -EACCES);
	assert_int_equal(ovbd_device_write_zeroes(d, 0, 1, 0, NULL), -EACCES);
	assert_int_equal(ovbd_device_discard(d, 0, 1, NULL), -EACCES);
	assert_int_equal(ovbd_device_flush(d, NULL), -EACCES);
	ovbd_stand_in_fill(s, file);
	assert_int_equal(ovbd_device_write_zeroes(d, 0, 512, 0, NULL), 0);
	assert_int_equal(ovbd_device_pwrite(d, "y", 1, 1, OVBD_WRITE_FUA, NULL), 0);
	assert_int_equal(ovbd_device_discard(d, 1024, 512, NULL), 0);
	assert_int_equal(ovbd_device_flush(d, NULL), 0);
	assert_int_equal(ovbd_blob_pread(d->blob, &byte, 1, 1, NULL), 0);
	assert_int_equal(byte, 'y');
	ovbd_stand_in_close(s);
	ovbd_device_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_early, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_heals, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_grows, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_removed_unopened, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_stand_in, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
