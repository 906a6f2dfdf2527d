// SPDX-License-Identifier: Apache-2.0
/* The device manager as far as nothing needs to be mounted, and what it is made of. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/devices.h"
#include "daemon/holders.h"
#include "daemon/state_file.h"
#include "daemon/transports.h"
#include "test.h"

static char dir[64], state[80];
static const struct ovbd_drain_params drain_unused = {.timeout_ms = 30000};

static int make_dir(void **arg)
{
	(void)arg;
	strcpy(dir, "/tmp/ovbd-devices-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(state, sizeof(state), "%s/devices", dir);
	return 0;
}

static int remove_dir(void **arg)
{
	char command[128];

	(void)arg;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static int decode(const char *text, struct ovbd_spec **ret, struct ovbd_error *err)
{
	json_t *object = json_loads(text, 0, NULL);
	const int r = ovbd_spec_decode(object, ret, err);

	json_decref(object);
	return r;
}

static struct ovbd_spec *spec_of(const char *text)
{
	struct ovbd_spec *s = NULL;
	struct ovbd_error err = {0};

	if (decode(text, &s, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return s;
}

static void test_spec_refuses(void **arg)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"[]", "not a JSON object"},
		{"{}", "\"images\" must be an array"},
		{"{\"images\":[]}", "\"images\" must be an array"},
		{"{\"images\":[1]}", "\"images\"[0]"},
		{"{\"images\":[\"/a\",\"b\"]}", "\"images\"[1]: 'b'"},
		{"{\"images\":[\"/a\"],\"imgs\":1}", "unknown key \"imgs\""},
		{"{\"images\":[\"/a\"],\"id\":1}", "\"id\" must be a string"},
		{"{\"images\":[\"/a\"],\"id\":\"\"}", "id ''"},
		{"{\"images\":[\"/a\"],\"id\":\"../x\"}", "id '../x'"},
		{"{\"images\":[\"/a\"],\"id\":\"a/b\"}", "id 'a/b'"},
		{"{\"images\":[\"/a\"],\"id\":\"-x\"}", "id '-x'"},
		{"{\"images\":[\"/a\"],\"format\":\"qcow9\"}", "\"format\": 'qcow9'"},
		{"{\"images\":[\"/a\"],\"path\":\"x\"}", "\"path\": 'x'"},
		{"{\"images\":[\"/a\"],\"path\":\"/x/\"}", "\"path\": '/x/'"},
		{"{\"images\":[\"/a\"],\"writable\":1}", "\"writable\" must be"},
		{"{\"images\":[\"/a\",\"/b\"],\"writable\":true}", "cannot be writable"},
		{"{\"images\":[\"/a\",\"/b\"],\"update\":\"\"}", "\"update\": '' is none"},
		{"{\"images\":[\"/a\"],\"update\":\"dm-snapshot\"}", "needs two images"},
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ovbd_spec *s = NULL;
		struct ovbd_error err = {0};

		assert_true(decode(bad[i].text, &s, &err) < 0);
		assert_null(s);
		if (!strstr(err.msg, bad[i].words))
			fail_msg("%s: %s", bad[i].text, err.msg);
	}
}

static void test_spec_fits(void **arg)
{
	static const struct {
		const char *asked;
		bool fits;
	} cases[] = {
		{"{\"id\":\"x\",\"images\":[\"/a\",\"http://b/c\"]}", true},
		{"{\"images\":[\"/a\",\"http://b/c\"],\"transport\":\"fuse\"}", true},
		{"{\"images\":[\"/a\",\"http://b/c\"],\"path\":\"/p\"}", true},
		{"{\"images\":[\"/a\",\"http://b/c\"],\"path\":\"/q\"}", false},
		{"{\"images\":[\"/a\",\"http://b/c\"],\"transport\":\"nbd\"}", false},
		{"{\"images\":[\"/a\",\"http://b/c\"],\"format\":\"raw\"}", false},
		{"{\"images\":[\"/a\"]}", false},
		{"{\"images\":[\"http://b/c\",\"/a\"]}", false},
	};
	struct ovbd_spec *have = spec_of("{\"id\":\"x\",\"images\":[\"/a\",\"http://b/c\"],"
	                                 "\"transport\":\"fuse\",\"path\":\"/p\"}");

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_spec *asked = spec_of(cases[i].asked);

		if (ovbd_spec_fits(have, asked) != cases[i].fits)
			fail_msg("%s", cases[i].asked);
		ovbd_spec_free(asked);
	}
	ovbd_spec_free(have);
}

struct found {
	struct ovbd_spec *spec;
	unsigned nfound, nbad;
	struct ovbd_error why;
};

static void found(void *arg, struct ovbd_spec *take_s)
{
	struct found *f = arg;

	ovbd_spec_free(f->spec);
	f->spec = take_s;
	f->nfound++;
}

static void bad(void *arg, const struct ovbd_error *why)
{
	struct found *f = arg;

	f->why = *why;
	f->nbad++;
}

static void write_text(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_state_file(void **arg)
{
	struct ovbd_spec *s = spec_of("{\"id\":\"a.b-1\",\"images\":[\"/\xc3\xa4,\\\"b\\\" c\"],"
	                              "\"format\":\"raw\",\"writable\":true}");
	struct found f = {0};
	struct ovbd_error err;

	(void)arg;
	assert_int_equal(ovbd_state_file_write(dir, s, &err), 0);
	assert_int_equal(ovbd_state_file_write(dir, s, &err), 0);
	assert_int_equal(ovbd_state_file_each(dir, found, bad, &f, &err), 0);
	assert_int_equal(f.nfound, 1);
	assert_true(ovbd_spec_fits(f.spec, s) && ovbd_spec_fits(s, f.spec));
	assert_string_equal(f.spec->id, "a.b-1");

	write_text("x.json", "{\n \"id\": }");
	assert_int_equal(ovbd_state_file_each(dir, found, bad, &f, &err), 0);
	assert_int_equal(f.nbad, 1);
	assert_non_null(strstr(f.why.msg, "x.json: line 2"));
	write_text("x.json", "{\"id\":\"y\",\"images\":[\"/a\"]}");
	assert_int_equal(ovbd_state_file_each(dir, found, bad, &f, &err), 0);
	assert_non_null(strstr(f.why.msg, "the state of another device"));
	write_text("x.json.new", "{");
	write_text(".json", "{");

	assert_int_equal(ovbd_state_file_remove(dir, "x", &err), 0);
	assert_int_equal(ovbd_state_file_remove(dir, "a.b-1", &err), 0);
	assert_int_equal(ovbd_state_file_remove(dir, "a.b-1", &err), 0);
	f.nfound = f.nbad = 0;
	assert_int_equal(ovbd_state_file_each(dir, found, bad, &f, &err), 0);
	assert_int_equal(f.nfound + f.nbad, 0);
	ovbd_spec_free(f.spec);
	ovbd_spec_free(s);
	s = spec_of("{\"id\":\"a\",\"images\":[\"/a\"]}");
	assert_int_equal(ovbd_state_file_write("/nowhere", s, &err), -ENOENT);
	ovbd_spec_free(s);
}

static void test_holders(void **arg)
{
	char path[128], holders[256], want[64];
	int ready[2];
	pid_t pid;

	(void)arg;
	snprintf(path, sizeof(path), "%s/file", dir);
	write_text("file", "");
	assert_int_equal(ovbd_holders_find(path, holders, sizeof(holders)), 0);
	assert_string_equal(holders, "");
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (open(path, O_RDONLY) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], holders, 1), 1);
	assert_int_equal(ovbd_holders_find(path, holders, sizeof(holders)), 1);
	snprintf(want, sizeof(want), "process %d (", (int)pid);
	assert_non_null(strstr(holders, want));
	assert_int_equal(ovbd_holders_find(path, holders, 8), 1);
	assert_string_equal(holders, "process");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static void keep_state(void *arg, const struct ovbd_device_view *v)
{
	int *s = arg;

	*s = v->state;
	if (v->state == OVBD_DEVICE_FAILED)
		assert_non_null(v->error);
}

#define MISSING "\"images\":[\"/nowhere/image\"],\"transport\":\"fuse\"}"

static struct ovbd_devices *open_manager(void)
{
	const struct ovbd_devices_params p = {.state_dir = dir, .nworkers = 2};
	struct ovbd_devices *ds = NULL;
	struct ovbd_error err = {0};

	if (ovbd_devices_open(&p, &ds, &err) < 0)
		fail_msg("%s", err.msg);
	return ds;
}

static void test_attach_failure(void **arg)
{
	struct ovbd_devices *ds = open_manager();
	char id[OVBD_SPEC_ID_MAX + 1];
	struct ovbd_error err;
	struct found f = {0};

	(void)arg;
	assert_int_equal(ovbd_devices_attach(ds, spec_of("{\"id\":\"a\"," MISSING), id, &err),
	                 -ENOENT);
	assert_non_null(strstr(err.msg, "device a: /nowhere/image: No such file"));
	assert_int_equal(ovbd_devices_show(ds, NULL, keep_state, &f.nfound), 0);
	assert_int_equal(ovbd_state_file_each(state, found, bad, &f, &err), 0);
	assert_int_equal(f.nfound, 0);
	assert_int_equal(ovbd_devices_detach(ds, "a", OVBD_DETACH_UNUSED, &err), -ENOENT);
	assert_int_equal(
		ovbd_devices_attach(ds, spec_of("{\"images\":[\"/a\"],\"transport\":\"tape\"}"), id,
	                            &err),
		-EINVAL);
	assert_non_null(strstr(err.msg, "unknown transport 'tape': there are auto"));
	assert_int_equal(ovbd_devices_drain(ds, &drain_unused, &err), 0);
	assert_int_equal(ovbd_devices_stop(ds, 5000), 0);
	ovbd_devices_close(ds);
}

static void test_recovered_failure(void **arg)
{
	struct ovbd_spec *s = spec_of("{\"id\":\"a\"," MISSING);
	char id[OVBD_SPEC_ID_MAX + 1];
	struct ovbd_devices *ds;
	struct ovbd_error err;
	int is = -1;

	(void)arg;
	assert_int_equal(mkdir(state, 0700), 0);
	assert_int_equal(ovbd_state_file_write(state, s, &err), 0);
	ovbd_spec_free(s);
	for (int turn = 0; turn < 2; turn++) { /* it is not forgotten at the end */
		ds = open_manager();
		assert_int_equal(ovbd_devices_recover(ds, &err), 0);
		ovbd_devices_settle(ds, 5000);
		assert_int_equal(ovbd_devices_show(ds, "a", keep_state, &is), 1);
		assert_int_equal(is, OVBD_DEVICE_FAILED);
		if (turn == 0) {
			assert_int_equal(ovbd_devices_stop(ds, 5000), 0);
			ovbd_devices_close(ds);
		}
	}
	ovbd_devices_retry(ds);
	assert_int_equal(ovbd_devices_attach(ds, spec_of("{\"id\":\"a\"," MISSING), id, &err),
	                 -ENOENT);
	assert_int_equal(ovbd_devices_attach(ds, spec_of("{\"id\":\"a\",\"images\":[\"/x\"]}"), id,
	                                     &err),
	                 -EEXIST);
	assert_non_null(strstr(err.msg, "id a in use"));
	assert_int_equal(ovbd_devices_detach(ds, "a", OVBD_DETACH_UNUSED, &err), 0);
	assert_int_equal(ovbd_devices_show(ds, "a", keep_state, &is), 0);
	assert_int_equal(ovbd_devices_stop(ds, 5000), 0);
	assert_int_equal(ovbd_devices_attach(ds, spec_of("{\"id\":\"b\"," MISSING), id, &err),
	                 -ESHUTDOWN);
	ovbd_devices_close(ds);
}

static int is_there(struct ovbd_error *err)
{
	(void)err;
	return 0;
}

static int open_broken(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                       char **ret_path, struct ovbd_error *err)
{
	(void)ret;
	(void)ret_path;
	return ovbd_fail(err, -ENOSPC, "broken: no more than %u", p->nworkers);
}

static const struct ovbd_transport_kind broken = {
	.name = "broken",
	.available = is_there,
	.open = open_broken,
};

static void show_chosen(void *arg, const struct ovbd_device_view *v)
{
	ovbd_transport_verdicts_text(v->considered, arg, 256);
	assert_string_equal(v->spec->transport, "nbd-socket");
	assert_int_equal(v->state, OVBD_DEVICE_SERVING);
	assert_non_null(strstr(v->path, "/a.nbd"));
}

/* "auto" goes on where a driver refuses; who has named it gets the refusal. */
static void test_driver_refuses(void **arg)
{
	const struct ovbd_transport_kind *old[] = {ovbd_transport_kinds[0], ovbd_transport_kinds[1],
	                                           ovbd_transport_kinds[2]};
	struct ovbd_transport_kind usable = ovbd_transport_kind_nbd_socket;
	struct ovbd_devices *ds = open_manager();
	char id[OVBD_SPEC_ID_MAX + 1], text[256];
	struct ovbd_error err = {0};
	struct found f = {0};

	(void)arg;
	usable.only_by_name = NULL;
	ovbd_transport_kinds[0] = &broken;
	ovbd_transport_kinds[1] = &usable;
	ovbd_transport_kinds[2] = NULL;
	write_text("image", "0123456789");
	snprintf(text, sizeof(text), "{\"id\":\"a\",\"images\":[\"%s/image\"]}", dir);
	assert_ok(ovbd_devices_attach(ds, spec_of(text), id, &err), err);
	assert_int_equal(ovbd_devices_show(ds, "a", show_chosen, text), 1);
	assert_string_equal(text, "broken: no more than 2; nbd-socket: taken");
	assert_int_equal(ovbd_state_file_each(state, found, bad, &f, &err), 0);
	assert_string_equal(f.spec->transport, "nbd-socket");
	ovbd_spec_free(f.spec);
	assert_ok(ovbd_devices_detach(ds, "a", OVBD_DETACH_FORCE, &err), err);
	snprintf(text, sizeof(text),
	         "{\"id\":\"a\",\"transport\":\"broken\",\"images\":[\"%s/image\"]}", dir);
	assert_fails(ovbd_devices_attach(ds, spec_of(text), id, &err), -ENOSPC, err,
	             "device a: broken: no more than 2");
	assert_int_equal(ovbd_devices_stop(ds, 5000), 0);
	ovbd_devices_close(ds);
	memcpy(ovbd_transport_kinds, old, sizeof(old));
}

/* A server that never answers: connections wait in its backlog. */
static int mute_fd = -1;
static char mute_url[64];

static void start_mute(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	mute_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(mute_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(mute_fd, 64), 0);
	assert_int_equal(getsockname(mute_fd, (struct sockaddr *)&a, &n), 0);
	snprintf(mute_url, sizeof(mute_url), "http://127.0.0.1:%u/x", ntohs(a.sin_port));
}

static struct ovbd_spec *mute_spec(const char *id)
{
	char text[160];

	snprintf(text, sizeof(text), "{\"id\":\"%s\",\"images\":[\"%s\"]}", id, mute_url);
	return spec_of(text);
}

struct slow {
	struct ovbd_devices *ds;
	const char *id;
	_Atomic bool wanted;
	_Atomic unsigned nasked;
	int r;
	pthread_t thread;
};

static bool still_wanted(void *arg)
{
	struct slow *s = arg;

	s->nasked++;
	return s->wanted;
}

static void *attach_slowly(void *arg)
{
	struct slow *s = arg;
	char id[OVBD_SPEC_ID_MAX + 1];
	struct ovbd_error err;

	s->r = ovbd_devices_attach_while(s->ds, mute_spec(s->id), still_wanted, s, id, &err);
	return NULL;
}

static void start_slow(struct slow *s, struct ovbd_devices *ds, const char *id)
{
	int is = -1;

	*s = (struct slow){.ds = ds, .id = id, .wanted = true};
	assert_int_equal(pthread_create(&s->thread, NULL, attach_slowly, s), 0);
	while (ovbd_devices_show(ds, id, keep_state, &is) == 0 || is != OVBD_DEVICE_OPENING)
		usleep(1000);
}

/* Who detaches a device that is opening does not wait for its server; nor does who has no interest
 * any more leave it behind. The id is free for another at once. */
static void test_cancel(void **arg)
{
	struct ovbd_devices *ds = open_manager();
	char id[OVBD_SPEC_ID_MAX + 1];
	struct slow a, b, c;
	struct ovbd_error err;
	struct found f = {0};
	int is = -1;

	(void)arg;
	start_mute();
	start_slow(&a, ds, "a");
	start_slow(&b, ds, "b");
	assert_int_equal(ovbd_devices_detach(ds, "a", OVBD_DETACH_UNUSED, &err), 0);
	pthread_join(a.thread, NULL);
	assert_int_equal(a.r, -ECANCELED);
	assert_int_equal(ovbd_devices_attach(ds, spec_of("{\"id\":\"a\"," MISSING), id, &err),
	                 -ENOENT);
	start_slow(&a, ds, "a"); /* again, while the first one's thread still waits */
	b.wanted = false;
	pthread_join(b.thread, NULL);
	assert_int_equal(b.r, -ECANCELED);
	assert_int_equal(ovbd_devices_show(ds, "b", keep_state, &is), 0);
	start_slow(&b, ds, "b");
	start_slow(&c, ds, "b"); /* two wait for one device: one of them may go */
	while (c.nasked == 0)
		usleep(1000);
	b.wanted = false;
	pthread_join(b.thread, NULL);
	assert_int_equal(b.r, -ECANCELED);
	assert_int_equal(ovbd_devices_show(ds, "b", keep_state, &is), 1);
	assert_int_equal(ovbd_devices_drain(ds, &drain_unused, &err), 0);
	pthread_join(a.thread, NULL);
	pthread_join(c.thread, NULL);
	assert_int_equal(c.r, -ECANCELED);
	assert_int_equal(ovbd_devices_show(ds, NULL, keep_state, &is), 0);
	assert_int_equal(ovbd_state_file_each(state, found, bad, &f, &err), 0);
	assert_int_equal(f.nfound + f.nbad, 0);
	close(mute_fd); /* which ends the threads that are left */
	assert_int_equal(ovbd_devices_stop(ds, 60000), 0);
	ovbd_devices_close(ds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spec_refuses),
		cmocka_unit_test(test_spec_fits),
		cmocka_unit_test_setup_teardown(test_state_file, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_holders, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_attach_failure, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_recovered_failure, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_driver_refuses, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_cancel, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
