/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of devices that the kernel keeps: a manager, an image, and a device "a" of it. For one
 * source file of a program. */
#ifndef OVBD_TESTS_UNIT_ADOPTED_H
#define OVBD_TESTS_UNIT_ADOPTED_H

#include "tests/unit/fake_transport.h"

#include <stdio.h>
#include <time.h>

#include "daemon/devices.h"

static char dir[64], image[80];

static int make_dir(void **arg)
{
	(void)arg;
	strcpy(dir, "/tmp/ovbd-adopt-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(image, sizeof(image), "%s/image", dir);
	kept_size = 0;
	return 0;
}

static int remove_dir(void **arg)
{
	char command[128];

	(void)arg;
	assert_int_equal(atomic_load(&nopen), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void write_image(size_t size)
{
	char *bytes = calloc(1, size);
	FILE *f = fopen(image, "w");

	assert_non_null(f);
	memset(bytes, 'x', size);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	fclose(f);
	free(bytes);
}

static struct ovbd_spec *make_spec(const char *id, const char *path)
{
	json_t *o = json_pack("{ss, s[s], ss, ss, ss}", "id", id, "images", image, "path", path,
	                      "format", "raw", "transport", "fake");
	struct ovbd_spec *s = NULL;

	assert_int_equal(ovbd_spec_decode(o, &s, NULL), 0);
	json_decref(o);
	return s;
}

static atomic_int nopened, last_status, ngone;

static void opened(void *arg, int status, const char *why)
{
	(void)arg;
	(void)why;
	atomic_store(&last_status, status);
	atomic_fetch_add(&nopened, 1);
}

static void gone(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ngone, 1);
}

static void await(const atomic_int *n, int wanted)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; atomic_load(n) != wanted; i++) {
		assert_true(i < 20000);
		nanosleep(&pause, NULL);
	}
}

static struct ovbd_devices *open_manager(void)
{
	const struct ovbd_devices_params p = {.state_dir = dir, .nworkers = 1, .wait_ms = 1000};
	struct ovbd_devices *ds = NULL;

	assert_int_equal(ovbd_devices_open(&p, &ds, NULL), 0);
	atomic_store(&nopened, 0);
	atomic_store(&ngone, 0);
	return ds;
}

static void close_manager(struct ovbd_devices *ds)
{
	assert_int_equal(ovbd_devices_stop(ds, 5000), 0);
	ovbd_devices_close(ds);
}

static int adopt(struct ovbd_devices *ds, const char *path, bool kept)
{
	const struct ovbd_adoption a = {
		.take_spec = make_spec("a", path),
		.kind = kind,
		.kept = kept,
		.opened = opened,
	};

	return ovbd_devices_adopt(ds, &a, NULL);
}

static void find_state(void *arg, const struct ovbd_device_view *v)
{
	int *state = arg;

	*state = (int)v->state;
}

static void await_state(struct ovbd_devices *ds, enum ovbd_device_state wanted)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int state = -1;

	for (int i = 0; state != (int)wanted; i++) {
		assert_true(i < 20000);
		assert_int_equal(ovbd_devices_show(ds, "a", find_state, &state), 1);
		nanosleep(&pause, NULL);
	}
}

#endif
