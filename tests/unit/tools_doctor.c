// SPDX-License-Identifier: Apache-2.0
/* The doctor looks at hosts that are made here: a tree of files, and what a process would be
 * told. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"
#include "tools/doctor.h"

#define ADMIN (1ull << 21)

static char root[64], socket_path[96];
static int uring_code, daemon_code;
static const char *daemon_json;

static int io_uring(void)
{
	return uring_code;
}

static int ask(const char *socket, json_t **ret, struct ovbd_error *err)
{
	assert_string_equal(socket, socket_path);
	if (daemon_code < 0)
		return ovbd_fail(err, daemon_code, "the daemon is upset");
	*ret = json_loads(daemon_json, 0, NULL);
	assert_non_null(*ret);
	return 0;
}

static struct ovbd_host host;

static int make_host(void **arg)
{
	(void)arg;
	strcpy(root, "/tmp/ovbd-doctor-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(socket_path, sizeof(socket_path), "%s/ovbdd.sock", root);
	uring_code = 0;
	daemon_code = -ENOENT;
	daemon_json = "{}";
	host = (struct ovbd_host){
		.root = root,
		.release = "6.6.1-test",
		.search = "/usr/bin:/bin",
		.socket = socket_path,
		.caps = ADMIN,
		.nofile = 1048576,
		.io_uring = io_uring,
		.daemon = ask,
	};
	return 0;
}

static int remove_host(void **arg)
{
	char command[128];

	(void)arg;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

/* A file with this text, and the directories it is in. */
static void put(const char *path, const char *text)
{
	char whole[256];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	for (char *c = whole + strlen(root) + 1; *c; c++)
		if (*c == '/') {
			*c = '\0';
			assert_true(mkdir(whole, 0755) == 0 || errno == EEXIST);
			*c = '/';
		}
	f = fopen(whole, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void drop(const char *path)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	assert_int_equal(unlink(whole), 0);
}

/* There is a finding about this, of this level, with these words, and this command. */
static void expect(const struct ovbd_report *r, const char *about, enum ovbd_finding_level level,
                   const char *words, const char *command)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct ovbd_finding *f = &r->findings[i];

		if (strcmp(f->about, about) == 0 && f->level == level && strstr(f->text, words) &&
		    strcmp(f->command, command) == 0)
			return;
	}
	for (size_t i = 0; i < r->n; i++)
		print_message("%s %s: %s [%s]\n", ovbd_finding_level_name(r->findings[i].level),
		              r->findings[i].about, r->findings[i].text, r->findings[i].command);
	fail_msg("no %s of %s with \"%s\" and \"%s\"", ovbd_finding_level_name(level), about, words,
	         command);
}

#define OK   OVBD_FINDING_OK
#define WARN OVBD_FINDING_WARN
#define FAIL OVBD_FINDING_FAIL

static void test_nothing_there(void **arg)
{
	struct ovbd_report r;

	(void)arg;
	ovbd_doctor_look(&host, &r);
	expect(&r, "kernel", OK, "Linux 6.6.1-test", "");
	expect(&r, "tcmu", FAIL, "target_core_user is not loaded, and there are no modules",
	       "modprobe target_core_user");
	expect(&r, "tcmu", FAIL, "tcm_loop", "modprobe tcm_loop");
	expect(&r, "ublk", FAIL, "ublk_drv is not loaded", "modprobe ublk_drv");
	expect(&r, "nbd", FAIL, "module nbd is not loaded", "modprobe nbd");
	expect(&r, "fuse", FAIL, "/dev/fuse is not there", "modprobe fuse");
	expect(&r, "dm-snapshot", OK, "would need modprobe dm_snapshot", "");
	expect(&r, "dm-user", OK, "only Android's kernels", "");
	expect(&r, "daemon", WARN, "ovbdd does not run", "systemctl start ovbdd");
	expect(&r, "privileges", OK, "may mount", "");
	expect(&r, "files", OK, "1048576", "");
	expect(&r, "space", FAIL, "/run: No such file", "");
	for (const char *const *t = ovbd_doctor_transports; *t; t++)
		assert_false(ovbd_doctor_can(&r, *t));
}

static void test_modules_to_load(void **arg)
{
	struct ovbd_report r;

	(void)arg;
	put("/lib/modules/6.6.1-test/modules.builtin", "kernel/drivers/target/tcm_loop.ko\n");
	put("/lib/modules/6.6.1-test/modules.dep",
	    "kernel/drivers/target/target_core_user.ko.xz: kernel/drivers/uio/uio.ko.xz\n"
	    "kernel/drivers/block/ublk-drv.ko:\n");
	ovbd_doctor_look(&host, &r);
	expect(&r, "tcmu", FAIL, "the module target_core_user is not loaded",
	       "modprobe target_core_user");
	expect(&r, "ublk", FAIL, "the module ublk_drv is not loaded", "modprobe ublk_drv");
	expect(&r, "nbd", FAIL, "this kernel (6.6.1-test) has no module nbd", "");
}

static void test_all_there(void **arg)
{
	struct ovbd_report r;

	(void)arg;
	put("/sys/module/target_core_user/version", "");
	put("/sys/module/tcm_loop/version", "");
	put("/sys/module/ublk_drv/version", "");
	put("/sys/module/nbd/version", "");
	put("/dev/fuse", "");
	put("/dev/ublk-control", "");
	put("/run/x", "");
	ovbd_doctor_look(&host, &r);
	expect(&r, "tcmu", FAIL, "configfs is not mounted",
	       "mount -t configfs configfs /sys/kernel/config");
	put("/sys/kernel/config/target/version", "");
	ovbd_doctor_look(&host, &r);
	for (const char *const *t = ovbd_doctor_transports; *t; t++) {
		assert_true(ovbd_doctor_can(&r, *t));
		expect(&r, *t, OK, "", "");
	}
	expect(&r, "space", OK, "left in /run", "");
	host.release = "6.1.0-13-amd64";
	ovbd_doctor_look(&host, &r);
	expect(&r, "ublk", FAIL, "needs Linux 6.5 or later", "");
	assert_false(ovbd_doctor_can(&r, "ublk"));
	assert_true(ovbd_doctor_can(&r, "nbd"));
	assert_false(ovbd_doctor_can(&r, "tape"));
}

static void test_io_uring(void **arg)
{
	struct ovbd_report r;

	(void)arg;
	put("/sys/module/ublk_drv/version", "");
	put("/dev/ublk-control", "");
	uring_code = -EPERM;
	ovbd_doctor_look(&host, &r);
	expect(&r, "ublk", FAIL, "io_uring is not allowed here", "");
	put("/proc/sys/kernel/io_uring_disabled", "2\n");
	ovbd_doctor_look(&host, &r);
	expect(&r, "ublk", FAIL, "io_uring is switched off", "sysctl kernel.io_uring_disabled=0");
	put("/proc/sys/kernel/io_uring_disabled", "0\n");
	uring_code = -ENOMEM;
	ovbd_doctor_look(&host, &r);
	expect(&r, "ublk", FAIL, "io_uring: Cannot allocate memory", "");
}

static void test_user(void **arg)
{
	struct ovbd_report r;

	(void)arg;
	host.caps = 0;
	put("/dev/fuse", "");
	put("/sys/module/nbd/version", "");
	ovbd_doctor_look(&host, &r);
	expect(&r, "fuse", FAIL, "fusermount3, which is not in $PATH", "apt-get install fuse3");
	expect(&r, "nbd", FAIL, "only root can", "sudo ovbd doctor");
	expect(&r, "privileges", WARN, "may not make disks", "sudo ovbd doctor");
	put("/bin/fusermount3", "");
	ovbd_doctor_look(&host, &r);
	expect(&r, "fuse", OK, "/dev/fuse can be opened", "");
}

static void test_daemon(void **arg)
{
	static const struct {
		int code;
		enum ovbd_finding_level level;
		const char *words, *command;
	} cases[] = {
		{-ECONNREFUSED, WARN, "what a dead one has left", "systemctl restart ovbdd"},
		{-EACCES, WARN, "may not ask ovbdd", "usermod -aG ovbd USER"},
		{-ETIMEDOUT, FAIL, "does not answer", "systemctl restart ovbdd"},
		{-EIO, FAIL, "the daemon is upset", ""},
	};
	struct ovbd_report r;

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		daemon_code = cases[i].code;
		ovbd_doctor_look(&host, &r);
		expect(&r, "daemon", cases[i].level, cases[i].words, cases[i].command);
	}
	daemon_code = 0;
	daemon_json = "{\"version\": \"9.8\", \"transports\": [{\"name\": \"fuse\", "
		      "\"available\": true}, {\"name\": \"ublk\", \"available\": false}, "
		      "{\"name\": \"tape\", \"available\": true}]}";
	put("/ovbdd.sock", "");
	ovbd_doctor_look(&host, &r);
	expect(&r, "daemon", OK, "ovbdd 9.8 answers", "");
	expect(&r, "daemon", OK, "the transports fuse, tape", "");
	expect(&r, "socket", WARN, "every user may write", "systemctl restart ovbdd");
	assert_int_equal(chmod(socket_path, 0660), 0);
	ovbd_doctor_look(&host, &r);
	expect(&r, "socket", OK, "root and a group", "");
	assert_int_equal(chmod(socket_path, 0600), 0);
	ovbd_doctor_look(&host, &r);
	expect(&r, "socket", OK, "only its owner", "");
	daemon_json = "{}";
	ovbd_doctor_look(&host, &r);
	expect(&r, "daemon", OK, "ovbdd ? answers", "");
	drop("/ovbdd.sock");
}

static void test_strangers(void **arg)
{
	struct ovbd_report r;
	char link[128];

	(void)arg;
	put("/proc/12/comm", "tcmu-runner\n");
	put("/proc/13/comm", "overlaybd-tcmu\n");
	put("/proc/14/comm", "overlaybd-tcmu\n");
	put("/proc/self/comm", "tcmu-runner\n");
	snprintf(link, sizeof(link), "%s/proc/14/exe", root);
	assert_int_equal(symlink("/usr/sbin/ovbdd", link), 0);
	host.nofile = 1024;
	ovbd_doctor_look(&host, &r);
	expect(&r, "strangers", WARN, "process 12 (tcmu-runner)",
	       "systemctl disable --now tcmu-runner");
	expect(&r, "strangers", WARN, "process 13 (overlaybd-tcmu)",
	       "systemctl disable --now overlaybd-tcmu");
	for (size_t i = 0; i < r.n; i++) {
		assert_null(strstr(r.findings[i].text, "process 14"));
		assert_null(strstr(r.findings[i].text, "process self"));
	}
	expect(&r, "files", WARN, "1024 files", "ulimit -Hn 1048576");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_there, make_host, remove_host),
		cmocka_unit_test_setup_teardown(test_modules_to_load, make_host, remove_host),
		cmocka_unit_test_setup_teardown(test_all_there, make_host, remove_host),
		cmocka_unit_test_setup_teardown(test_io_uring, make_host, remove_host),
		cmocka_unit_test_setup_teardown(test_user, make_host, remove_host),
		cmocka_unit_test_setup_teardown(test_daemon, make_host, remove_host),
		cmocka_unit_test_setup_teardown(test_strangers, make_host, remove_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
