// SPDX-License-Identifier: Apache-2.0
/* Devices that are begun before the kernel tells of them; and the threads of devices. */
#include "tests/unit/adopted.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

static int expect(struct ovbd_devices *ds, const char *path)
{
	const struct ovbd_adoption a = {
		.take_spec = make_spec("a", path),
		.kind = kind,
		.expected = true,
	};

	return ovbd_devices_adopt(ds, &a, NULL);
}

static int announce(struct ovbd_devices *ds, const char *id, const char *path)
{
	return ovbd_devices_announce(ds, id, path, opened, NULL);
}

/* Whether this process has the image open. */
static bool is_image_open(void)
{
	DIR *fds = opendir("/proc/self/fd");
	const struct dirent *e;
	bool found = false;

	assert_non_null(fds);
	while ((e = readdir(fds))) {
		char target[128] = "";

		if (readlinkat(dirfd(fds), e->d_name, target, sizeof(target) - 1) > 0)
			found |= strcmp(target, image) == 0;
	}
	closedir(fds);
	return found;
}

static void await_image(bool open)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; is_image_open() != open; i++) {
		assert_true(i < 20000);
		nanosleep(&pause, NULL);
	}
}

/* The image of a device that is expected is opened before it has come, and nothing else. */
static void test_expected(void **arg)
{
	struct ovbd_devices *ds = open_manager();

	(void)arg;
	kind = &early_kind;
	atomic_store(&nearly, 0);
	atomic_store(&nlate, 0);
	write_image(4096);
	assert_int_equal(announce(ds, "a", "/dev/uio1"), -ENOENT);
	assert_int_equal(expect(ds, "/dev/uio1"), 0);
	await_image(true);
	assert_int_equal(expect(ds, "/dev/uio2"), -EEXIST);
	assert_int_equal(announce(ds, "a", "/dev/uio2"), -ENOENT);
	assert_int_equal(announce(ds, "b", "/dev/uio1"), -ENOENT);
	ovbd_devices_expect_no_more(ds, "/dev/uio2");
	await_state(ds, OVBD_DEVICE_OPENING);
	assert_int_equal(atomic_load(&nearly), 0);
	assert_int_equal(unlink(image), 0);
	assert_int_equal(announce(ds, "a", "/dev/uio1"), 0);
	await(&nopened, 1);
	assert_int_equal(atomic_load(&last_status), 0);
	assert_int_equal(atomic_load(&nearly), 1);
	assert_int_equal(atomic_load(&nlate), 0);
	assert_int_equal(read_byte(atomic_load(&opened_fake)), 0);
	assert_int_equal(announce(ds, "a", "/dev/uio1"), -ENOENT);
	ovbd_devices_expect_no_more(ds, NULL); /* it is there */
	await_state(ds, OVBD_DEVICE_SERVING);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), 0);
	await(&ngone, 1);

	/* without an image: which is not told before somebody asks */
	assert_int_equal(expect(ds, "/dev/uio1"), 0);
	assert_int_equal(announce(ds, "a", "/dev/uio1"), 0);
	await(&nopened, 2);
	assert_int_equal(atomic_load(&last_status), -ENOENT);
	await(&nopen, 0);
	kind = &fake_kind;
	close_manager(ds);
}

static void test_expected_in_vain(void **arg)
{
	struct ovbd_devices *ds = open_manager();

	(void)arg;
	write_image(4096);
	assert_int_equal(expect(ds, "/dev/uio1"), 0);
	await_image(true);
	ovbd_devices_expect_no_more(ds, "/dev/uio1");
	assert_int_equal(ovbd_devices_show(ds, NULL, NULL, NULL), 0);
	await_image(false);

	/* another has come in its place */
	assert_int_equal(expect(ds, "/dev/uio1"), 0);
	assert_int_equal(adopt(ds, "/dev/uio2", false), 0);
	await(&nopened, 1);
	assert_int_equal(atomic_load(&last_status), 0);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio2", gone, NULL), 0);
	await(&ngone, 1);

	/* the daemon ends */
	assert_int_equal(expect(ds, "/dev/uio3"), 0);
	await_image(true);
	close_manager(ds);
	assert_int_equal(atomic_load(&nopened), 1);
	await_image(false);
}

/* A thread that has been kept serves the next device. */
static void test_threads(void **arg)
{
	struct ovbd_devices *ds = open_manager();
	struct ovbd_error err;
	char path[32];

	(void)arg;
	write_image(4096);
	assert_ok(ovbd_devices_recover(ds, &err), err);
	for (int i = 1; i <= 40; i++) {
		snprintf(path, sizeof(path), "/dev/uio%d", i);
		assert_int_equal(adopt(ds, path, false), 0);
		await(&nopened, i);
		assert_int_equal(atomic_load(&last_status), 0);
	}
	assert_int_equal(read_byte(atomic_load(&opened_fake)), 0);
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio40", gone, NULL), 0);
	await(&ngone, 1);
	close_manager(ds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_expected, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_expected_in_vain, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_threads, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
