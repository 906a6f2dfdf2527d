// SPDX-License-Identifier: Apache-2.0
/* What a confined process may and may not, each case in a process of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "test.h"

#define KEPT (OVBD_CAP(SYS_ADMIN) | OVBD_CAP(DAC_READ_SEARCH))

extern char **environ;

static char told[256];

static void refused(const char *call)
{
	strncat(told, call, sizeof(told) - strlen(told) - 1);
	strncat(told, " ", sizeof(told) - strlen(told) - 1);
}

/* The lines of a child that failed are all there is to see of it. */
#define check(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what,             \
			        strerror(errno));                                                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static bool is_filtered(unsigned calls, bool no_filter)
{
	const struct ovbd_confine_params p = {
		.caps = KEPT,
		.calls = calls,
		.no_filter = no_filter,
		.refused = refused,
	};
	struct ovbd_error err = {0};
	bool filtered = false;

	if (ovbd_confine(&p, &filtered, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(1);
	}
	return filtered;
}

/* body() in a process of its own, which ends well. */
static void in_child(void (*body)(void))
{
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void needs_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* --- capabilities --- */

static void caps_body(void)
{
	struct ovbd_confinement before, after;
	int fd;

	check(ovbd_confinement_read(&before, NULL) == 0);
	is_filtered(0, true);
	check(ovbd_confinement_read(&after, NULL) == 0);
	check(after.caps == (before.caps & KEPT));
	check(after.no_new_privs && !after.filtered);
	check(syscall(SYS_chroot, "/") < 0 && errno == EPERM);
	check(chown("/tmp", 1, 1) < 0 && errno == EPERM);
	check(setuid(1) < 0 && errno == EPERM);
	fd = open("/etc/shadow", O_RDONLY); /* by DAC_READ_SEARCH, whoever's it is */
	check(fd >= 0 || errno == ENOENT);
}

static void test_caps(void **arg)
{
	(void)arg;
	needs_root();
	in_child(caps_body);
	assert_string_equal(ovbd_confine_cap_name(CAP_SYS_ADMIN), "sys_admin");
	for (unsigned cap = 0; cap <= CAP_LAST_CAP && cap <= CAP_CHECKPOINT_RESTORE; cap++)
		assert_non_null(ovbd_confine_cap_name(cap));
	assert_null(ovbd_confine_cap_name(63));
}

/* Who is no root keeps what a setuid fusermount3 needs. */
static void user_body(void)
{
	struct ovbd_confinement now;

	check(setgid(65534) == 0 && setuid(65534) == 0);
	check(!is_filtered(0, false));
	check(ovbd_confinement_read(&now, NULL) == 0);
	check(now.caps == 0 && !now.no_new_privs && !now.filtered);
}

static void test_user(void **arg)
{
	(void)arg;
	needs_root();
	in_child(user_body);
}

/* --- the filter --- */

static bool is_refused(long r)
{
	return r < 0 && errno == ENOSYS;
}

static void refused_body(void)
{
	const char *const argv[] = {"/bin/true", NULL};
	const char *first;
	pid_t pid;

	if (!is_filtered(0, false))
		_exit(0); /* this build has none */
	check(is_refused(execve(argv[0], (char *const *)(uintptr_t)argv, environ)));
	check(is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
	check(is_refused(socket(AF_PACKET, SOCK_RAW, 0)));
	check(is_refused(unshare(CLONE_NEWUSER)));
	check(is_refused(mount("a", "/", "tmpfs", MS_REMOUNT, NULL)));
	check(is_refused(syscall(SYS_io_uring_setup, 1, NULL)));
	check(is_refused(inotify_init1(IN_CLOEXEC)));
	check(is_refused(syscall(SYS_bpf, 0, NULL, 0)));
	check(is_refused(kill(getppid(), 0)));
	check(is_refused(setrlimit(RLIMIT_NOFILE, &(struct rlimit){1, 1})));
	check(is_refused(mprotect(&first, 1, PROT_EXEC)));
	check(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	      MAP_FAILED);
	check(fork() < 0 && errno == EPERM);
	check(posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0);
	check(is_refused(syscall(SYS_bpf, 0, NULL, 0)));
	check(ovbd_confine_refused(&first) >= 13 && strcmp(first, "execve") == 0);
	check(strncmp(told,
	              "execve ptrace socket unshare mount io_uring_setup inotify_init1 bpf kill",
	              72) == 0);
	check(strstr(strstr(told, "bpf") + 3, "bpf") == NULL); /* once each */
}

static void test_refused(void **arg)
{
	(void)arg;
	needs_root();
	in_child(refused_body);
}

static void *thread(void *arg)
{
	*(bool *)arg = is_refused(personality(0xffffffff)); /* only asks */
	return NULL;
}

/* What a server does, in another thread too, and what libc does for it. */
static void allowed_body(void)
{
	struct addrinfo *found = NULL;
	bool filtered, there = false;
	const char *first;
	pthread_t id;
	char *big;

	filtered = is_filtered(OVBD_CALLS_MOUNT | OVBD_CALLS_RING | OVBD_CALLS_NODES, false);
	check(pthread_create(&id, NULL, thread, &there) == 0 && pthread_join(id, NULL) == 0);
	check(there == filtered);
	check(mount("x", "/nowhere", "tmpfs", 0, NULL) < 0 && errno == ENOENT);
	check(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno != ENOSYS);
	check(inotify_add_watch(inotify_init1(IN_CLOEXEC), "/tmp", IN_CREATE) >= 0);
	big = malloc(1 << 26);
	check(big && (big = realloc(big, 1 << 27)));
	free(big);
	getaddrinfo("localhost", "80", NULL, &found); /* not whether it is known */
	freeaddrinfo(found);
	check(kill(getpid(), 0) == 0);
	check(system("true") != 0 || !filtered);
	check(ovbd_confine_refused(&first) == filtered); /* what the thread did */
}

static void test_allowed(void **arg)
{
	(void)arg;
	needs_root();
	in_child(allowed_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
