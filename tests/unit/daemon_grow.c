// SPDX-License-Identifier: Apache-2.0
/* Devices that grow beneath their users, and when a transport of the test's own is told of it. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "daemon/devices.h"
#include "image/upper.h"
#include "tests/unit/fake_transport.h"

static char dir[64], config[80], layer[80];

/* ---- a transport that can be told ---- */

static _Atomic uint64_t told;
static atomic_int cannot, fails; /* -errno */

/* docs/format-rw.md: of its two superblocks the one with the higher generation counts. */
static uint64_t layer_size(void)
{
	uint64_t generations[2], sizes[2];
	FILE *f = fopen(layer, "r");
	uint8_t raw[512];

	assert_non_null(f);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fseek(f, i * 4096L, SEEK_SET), 0);
		assert_int_equal(fread(raw, 1, sizeof(raw), f), sizeof(raw));
		generations[i] = ovbd_get_le64(raw + 16);
		sizes[i] = ovbd_get_le64(raw + 32);
	}
	fclose(f);
	return sizes[generations[1] > generations[0]];
}

static int fake_resize(const struct ovbd_transport_open *p, struct ovbd_transport *t, uint64_t size,
                       struct ovbd_error *err)
{
	assert_string_equal(p->id, "a");
	assert_ptr_equal(fake_of(t), atomic_load(&opened_fake));
	if (atomic_load(&cannot))
		return ovbd_fail(err, atomic_load(&cannot), "it cannot");
	if (size == 0)
		return 0;
	assert_int_equal(layer_size(), size); /* first the layer */
	if (atomic_load(&fails))
		return ovbd_fail(err, atomic_load(&fails), "it fails");
	atomic_store(&told, size);
	return 0;
}

static const struct ovbd_transport_kind grow_kind = {
	.name = "fake",
	.writable = true,
	.block_size = 1024,
	.survives = true,
	.available = fake_available,
	.size = fake_size,
	.open = fake_open,
	.resize = fake_resize,
};

/* ---- the manager ---- */

static void write_config(void)
{
	FILE *f = fopen(config, "w");

	assert_non_null(f);
	fprintf(f, "{\"lowers\": [], \"upper\": {\"file\": \"%s\"}}", layer);
	assert_int_equal(fclose(f), 0);
}

static int make_dir(void **arg)
{
	const struct ovbd_rw_params p = {.virtual_size = 4096};
	struct ovbd_error err;

	(void)arg;
	strcpy(dir, "/tmp/ovbd-grow-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(config, sizeof(config), "%s/config.json", dir);
	snprintf(layer, sizeof(layer), "%s/rw", dir);
	assert_ok(ovbd_upper_create(layer, NULL, &p, &err), err);
	write_config();
	kept_size = 0;
	kind = &grow_kind;
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

static atomic_int nopened, nresized, resized_status, ngone;

static void opened(void *arg, int status, const char *why)
{
	(void)arg;
	(void)status;
	(void)why;
	atomic_fetch_add(&nopened, 1);
}

static void resized(void *arg, int status, const char *why)
{
	(void)arg;
	(void)why;
	atomic_store(&resized_status, status);
	atomic_fetch_add(&nresized, 1);
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
	nopened = nresized = ngone = 0;
	told = 0;
	cannot = fails = 0;
	return ds;
}

static void adopt(struct ovbd_devices *ds, bool kept)
{
	json_t *o = json_pack("{ss, s[s], ss, ss, ss, sb}", "id", "a", "images", config, "path",
	                      "/dev/uio1", "format", "image", "transport", "fake", "writable", 1);
	struct ovbd_adoption a = {.kind = kind, .kept = kept, .opened = opened};

	assert_int_equal(ovbd_spec_decode(o, &a.take_spec, NULL), 0);
	json_decref(o);
	assert_int_equal(ovbd_devices_adopt(ds, &a, NULL), 0);
	await(&nopened, 1);
	nopened = 0;
}

static void disown(struct ovbd_devices *ds)
{
	assert_int_equal(ovbd_devices_disown(ds, "a", "/dev/uio1", gone, NULL), 0);
	await(&ngone, 1);
	ngone = 0;
}

static void close_manager(struct ovbd_devices *ds)
{
	assert_int_equal(ovbd_devices_stop(ds, 5000), 0);
	ovbd_devices_close(ds);
}

static void find_size(void *arg, const struct ovbd_device_view *v)
{
	uint64_t *size = arg;

	assert_int_equal(v->state, OVBD_DEVICE_SERVING);
	*size = v->size;
}

static void expect(struct ovbd_devices *ds, uint64_t wanted)
{
	uint64_t size = 0;

	assert_int_equal(ovbd_devices_show(ds, "a", find_size, &size), 1);
	assert_int_equal(size, wanted);
	assert_int_equal(layer_size(), wanted);
	assert_int_equal(read_byte(atomic_load(&opened_fake)), 0);
}

static void test_asked(void **arg)
{
	struct ovbd_devices *ds = open_manager();
	struct ovbd_error err;
	uint64_t before = 0;

	(void)arg;
	assert_fails(ovbd_devices_grow(ds, "a", 8192, &before, &err), -ENOENT, err, "device a");
	adopt(ds, false);
	assert_fails(ovbd_devices_grow(ds, "a", 2048, &before, &err), -ENOTSUP, err, "only grows");
	assert_int_not_equal(ovbd_devices_grow(ds, "a", 8192 + 512, &before, &err), 0);
	cannot = -ENOTSUP;
	assert_fails(ovbd_devices_grow(ds, "a", 8192, &before, &err), -ENOTSUP, err, "it cannot");
	cannot = 0;
	expect(ds, 4096);
	assert_ok(ovbd_devices_grow(ds, "a", 8192, &before, &err), err);
	assert_int_equal(before, 4096);
	assert_int_equal(told, 8192);
	expect(ds, 8192);
	/* the layer has it, its users do not know: the same again, and not a smaller one */
	fails = -EIO;
	assert_fails(ovbd_devices_grow(ds, "a", 16384, &before, &err), -EIO, err,
	             "ask again for the same size): it fails");
	expect(ds, 16384);
	fails = 0;
	assert_fails(ovbd_devices_grow(ds, "a", 8192, &before, &err), -ENOTSUP, err, "only grows");
	assert_ok(ovbd_devices_grow(ds, "a", 16384, &before, &err), err);
	assert_int_equal(told, 16384);
	disown(ds);
	close_manager(ds);
}

/* By the kernel, that of a disk which others have made. */
static void test_told(void **arg)
{
	struct ovbd_devices *ds = open_manager();

	(void)arg;
	adopt(ds, false);
	assert_int_equal(ovbd_devices_resize(ds, "a", 2048, resized, NULL, NULL), -ENOTSUP);
	assert_int_equal(ovbd_devices_resize(ds, "a", 8192, resized, NULL, NULL), 0);
	await(&nresized, 1);
	assert_int_equal(resized_status, 0);
	assert_int_equal(told, 8192);
	expect(ds, 8192);
	assert_int_equal(ovbd_devices_resize(ds, "a", 8192, resized, NULL, NULL), 0);
	await(&nresized, 2);
	disown(ds);
	close_manager(ds);
}

static void await_told(uint64_t wanted)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; told != wanted; i++) {
		assert_true(i < 20000);
		nanosleep(&pause, NULL);
	}
}

/* The daemon died before it told the kernel; the next one does, if the transport can. */
static void test_followed(void **arg)
{
	struct ovbd_devices *ds = open_manager();
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)arg;
	assert_ok(ovbd_upper_open(layer, NULL, NULL, &d, &err), err);
	assert_ok(ovbd_device_grow(d, 65536, &err), err);
	ovbd_device_close(d);
	kept_size = 4096;
	adopt(ds, true);
	await_told(65536);
	expect(ds, 65536);
	disown(ds);
	cannot = -ENOTSUP;
	adopt(ds, true);
	assert_int_equal(read_byte(atomic_load(&opened_fake)), -ESTALE);
	disown(ds);
	close_manager(ds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_asked, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_told, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_followed, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
