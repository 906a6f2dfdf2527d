// SPDX-License-Identifier: Apache-2.0
/* What the device manager leaves on the host when it ends, or when nobody wants a device any more:
 * with a transport that keeps a disk, as kernels do, until it is abandoned. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/devices.h"
#include "daemon/fault_point.h"
#include "daemon/transports.h"

static char dir[64], text[160];
static const char *hold_at; /* the fault point where a device's thread stays */
static sem_t arrived, go;

void ovbd_fault_point(const char *name)
{
	if (!hold_at || strcmp(name, hold_at) != 0)
		return;
	sem_post(&arrived);
	sem_wait(&go);
}

/* --- the transport --- */

static atomic_bool disk; /* the kernel has it */
static sem_t stopped;

static int disk_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	(void)t;
	(void)worker;
	(void)ret;
	(void)err;
	sem_wait(&stopped);
	sem_post(&stopped);
	return -ESHUTDOWN;
}

static void disk_stop(struct ovbd_transport *t)
{
	(void)t;
	sem_post(&stopped);
}

static void disk_close(struct ovbd_transport *t)
{
	(void)t;
}

static const struct ovbd_transport_ops disk_ops = {
	.name = "disk",
	.next = disk_next,
	.stop = disk_stop,
	.close = disk_close,
};

static int disk_open(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                     char **ret_path, struct ovbd_error *err)
{
	static struct ovbd_transport t = {.ops = &disk_ops};

	(void)p;
	(void)err;
	atomic_store(&disk, true);
	*ret = &t;
	*ret_path = strdup("/dev/disk0");
	return 0;
}

static int disk_abandon(const struct ovbd_transport_open *p, struct ovbd_error *err)
{
	(void)p;
	(void)err;
	atomic_store(&disk, false);
	return 0;
}

static int disk_available(struct ovbd_error *err)
{
	(void)err;
	return 0;
}

static struct ovbd_transport_kind kind = {
	.name = "disk",
	.survives = true,
	.available = disk_available,
	.open = disk_open,
	.abandon = disk_abandon,
};

/* --- the manager --- */

static struct ovbd_devices *ds;

static int set_up(void **arg)
{
	const struct ovbd_devices_params p = {.state_dir = dir, .nworkers = 2};
	struct ovbd_error err = {0};
	FILE *f;

	(void)arg;
	strcpy(dir, "/tmp/ovbd-end-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(text, sizeof(text), "%s/image", dir);
	f = fopen(text, "w");
	assert_non_null(f);
	fputs("0123456789", f);
	fclose(f);
	sem_init(&arrived, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&stopped, 0, 0);
	hold_at = NULL;
	atomic_store(&disk, false);
	kind.late = false;
	ovbd_transport_kinds[0] = &kind;
	ovbd_transport_kinds[1] = NULL;
	assert_ok(ovbd_devices_open(&p, &ds, &err), err);
	return 0;
}

static int tear_down(void **arg)
{
	char command[128];

	(void)arg;
	ovbd_devices_close(ds);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static size_t nstates(void)
{
	char path[80];
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/devices", dir);
	d = opendir(path);
	for (const struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static atomic_bool wanted;

static bool is_wanted(void *arg)
{
	(void)arg;
	return wanted;
}

static struct ovbd_error attach_err;

static void *attach_main(void *arg)
{
	char id[OVBD_SPEC_ID_MAX + 1], object[256];
	struct ovbd_spec *s = NULL;
	json_t *json;
	int *ret = arg;

	snprintf(object, sizeof(object), "{\"id\":\"a\",\"format\":\"raw\",\"images\":[\"%s\"]}",
	         text);
	json = json_loads(object, 0, NULL);
	assert_int_equal(ovbd_spec_decode(json, &s, NULL), 0);
	json_decref(json);
	*ret = ovbd_devices_attach_while(ds, s, is_wanted, NULL, id, &attach_err);
	return NULL;
}

static int attach_result;

static pthread_t begin_to_attach(void)
{
	pthread_t t;

	wanted = true;
	assert_int_equal(pthread_create(&t, NULL, attach_main, &attach_result), 0);
	return t;
}

static void attach(void)
{
	pthread_join(begin_to_attach(), NULL);
	assert_ok(attach_result, attach_err);
}

/* --- the tests --- */

/* The daemon ends while a new device is between two steps of its making. */
static void test_end_while_making(void **point)
{
	pthread_t t;

	hold_at = *point;
	t = begin_to_attach();
	sem_wait(&arrived);
	hold_at = NULL;
	ovbd_devices_stop(ds, 0);
	sem_post(&go);
	pthread_join(t, NULL);
	assert_int_equal(attach_result, -ESHUTDOWN);
	assert_int_equal(ovbd_devices_stop(ds, 60000), 0);
	assert_false(disk);
	assert_int_equal(nstates(), 0);
}

/* Its path cannot be written down. */
static void test_no_room_for_its_path(void **arg)
{
	char path[96], away[96];
	pthread_t t;

	(void)arg;
	snprintf(path, sizeof(path), "%s/devices", dir);
	snprintf(away, sizeof(away), "%s/away", dir);
	hold_at = "make-opened";
	t = begin_to_attach();
	sem_wait(&arrived);
	hold_at = NULL;
	assert_int_equal(rename(path, away), 0);
	sem_post(&go);
	pthread_join(t, NULL);
	assert_int_equal(attach_result, -ENOENT);
	assert_int_equal(ovbd_devices_stop(ds, 60000), 0);
	assert_false(disk);
}

/* One that has been served is the next daemon's; who detaches it then is told so. */
static void test_detached_too_late(void **arg)
{
	struct ovbd_error err = {0};

	(void)arg;
	attach();
	assert_true(disk);
	hold_at = "device-ending";
	ovbd_devices_stop(ds, 0);
	sem_post(&stopped); /* its transport has failed, just now */
	sem_wait(&arrived);
	hold_at = NULL;
	assert_fails(ovbd_devices_detach(ds, "a", OVBD_DETACH_FORCE, &err), -ESHUTDOWN, err,
	             "device a: the daemon is ending");
	sem_post(&go);
	assert_int_equal(ovbd_devices_stop(ds, 60000), 0);
	assert_true(disk);
	assert_int_equal(nstates(), 1);
}

static void count(void *arg, const struct ovbd_device_view *v)
{
	(void)v;
	++*(unsigned *)arg;
}

/* Who asked for it goes when it is served but not there yet. */
static void test_given_up_while_late(void **arg)
{
	unsigned n = 1;
	pthread_t t;

	(void)arg;
	kind.late = true;
	t = begin_to_attach();
	while (!atomic_load(&disk))
		usleep(1000);
	wanted = false;
	pthread_join(t, NULL);
	assert_int_equal(attach_result, -ECANCELED);
	while (n > 0) {
		n = 0;
		ovbd_devices_show(ds, "a", count, &n);
		usleep(1000);
	}
	assert_int_equal(ovbd_devices_stop(ds, 60000), 0);
	assert_false(disk);
	assert_int_equal(nstates(), 0);
}

#define end_while_making(point)                                                                    \
	cmocka_unit_test_prestate_setup_teardown(test_end_while_making, set_up, tear_down,         \
	                                         (void *)(uintptr_t)(point))

int main(void)
{
	const struct CMUnitTest tests[] = {
		end_while_making("make-written"),
		end_while_making("make-noted"),
		end_while_making("make-opened"),
		cmocka_unit_test_setup_teardown(test_no_room_for_its_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_detached_too_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_given_up_while_late, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
