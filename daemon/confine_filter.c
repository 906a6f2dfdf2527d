// SPDX-License-Identifier: Apache-2.0
/*
 * A list of what is allowed. All else is a trap: the kernel sends SIGSYS, whose handler lets the
 * call fail with ENOSYS, which libc takes as "this kernel does not have it" and does without where
 * it can, and tells it. A server is not killed for a call that a newer libc tries: its devices are
 * in use. Each call is told once, and all are counted.
 *
 * The handler may run anywhere, also while libc holds a lock; it does nothing but store, and call
 * who tells.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "daemon/confine_arch.h"

#define CALLS_MAX 512 /* numbers of system calls; what is beyond has no name here */
#define NAME_SIZE 32

static char names[CALLS_MAX][NAME_SIZE];
static _Atomic bool told[CALLS_MAX];
static _Atomic uint64_t nrefused;
static _Atomic int first = -1;
static void (*tell)(const char *call);

static const char *const always[] = {
	/* memory, threads, time */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"futex",
	"futex_waitv",
	"set_robust_list",
	"rseq",
	"sched_yield",
	"sched_getaffinity",
	"sched_setaffinity",
	"set_tid_address",
	"exit",
	"exit_group",
	"gettid",
	"getpid",
	"membarrier",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"sigaltstack",
	"restart_syscall",
	"clock_gettime",
	"clock_getres",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"time",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"getcpu",
	/* files */
	"read",
	"write",
	"pread64",
	"pwrite64",
	"readv",
	"writev",
	"preadv",
	"pwritev",
	"preadv2",
	"pwritev2",
	"open",
	"openat",
	"openat2",
	"close",
	"close_range",
	"lseek",
	"fsync",
	"fdatasync",
	"sync_file_range",
	"fallocate",
	"ftruncate",
	"fstat",
	"stat",
	"lstat",
	"newfstatat",
	"statx",
	"statfs",
	"fstatfs",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents64",
	"getcwd",
	"chdir",
	"rename",
	"renameat",
	"renameat2",
	"unlink",
	"unlinkat",
	"mkdir",
	"mkdirat",
	"rmdir",
	"symlink",
	"symlinkat",
	"link",
	"linkat",
	"chmod",
	"fchmod",
	"fchmodat",
	"umask",
	"fcntl",
	"flock",
	"dup",
	"dup2",
	"dup3",
	"pipe",
	"pipe2",
	"fadvise64",
	"copy_file_range",
	"sendfile",
	"splice",
	"ioctl",
	"memfd_create",
	/* waiting */
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd2",
	/* sockets, but for socket() itself */
	"connect",
	"bind",
	"listen",
	"accept",
	"accept4",
	"getsockname",
	"getpeername",
	"setsockopt",
	"getsockopt",
	"sendto",
	"sendmsg",
	"sendmmsg",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"shutdown",
	"socketpair",
	/* what one may ask */
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getppid",
	"getgroups",
	"getresuid",
	"getresgid",
	"uname",
	"sysinfo",
	"getrandom",
	"getrlimit",
	"getrusage",
	"times",
	"capget",
	NULL,
};

static const char *const for_mount[] = {"mount", "umount2", NULL};
static const char *const for_ring[] = {
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"capset", /* a thread without CAP_SYS_ADMIN for a moment: ublk_queue.c */
	NULL,
};

static const char *const for_nodes[] = {"inotify_init1", "inotify_add_watch", NULL};

static void trapped(int sig, siginfo_t *info, void *context)
{
	const int saved = errno, nr = info->si_syscall;
	int none = -1;

	(void)sig;
	confine_set_result(context, -ENOSYS);
	atomic_fetch_add(&nrefused, 1);
	if (nr < 0 || nr >= CALLS_MAX || atomic_exchange(&told[nr], true))
		return;
	atomic_compare_exchange_strong(&first, &none, nr);
	if (tell)
		tell(names[nr]);
	errno = saved;
}

uint64_t ovbd_confine_refused(const char **ret_first)
{
	const int nr = atomic_load(&first);

	*ret_first = nr >= 0 ? names[nr] : NULL;
	return atomic_load(&nrefused);
}

/* The handler cannot ask for them. */
static void note_names(void)
{
	for (int nr = 0; nr < CALLS_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name)
			snprintf(names[nr], NAME_SIZE, "%s", name);
		else
			snprintf(names[nr], NAME_SIZE, "%d", nr);
		free(name);
	}
}

static int handle_traps(void)
{
	struct sigaction sa = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER};

	note_names();
	return sigaction(SIGSYS, &sa, NULL) < 0 ? -errno : 0;
}

/* Names that this architecture, or an old libseccomp, does not have are passed over. */
static int allow(scmp_filter_ctx ctx, const char *const *calls)
{
	for (; *calls; calls++) {
		const int nr = seccomp_syscall_resolve_name(*calls);
		int r;

		if (nr == __NR_SCMP_ERROR)
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static int allow_if(scmp_filter_ctx ctx, const char *call, struct scmp_arg_cmp cmp)
{
	const int nr = seccomp_syscall_resolve_name(call);

	return nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, cmp);
}

static int refuse(scmp_filter_ctx ctx, const char *call, int code)
{
	const int nr = seccomp_syscall_resolve_name(call);

	return nr == __NR_SCMP_ERROR ? 0
	                             : seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)code), nr, 0);
}

/* Threads, and no processes or name spaces. clone3 has its flags in memory, where a filter cannot
 * see them; libc takes clone instead when told that there is none. No traps here: libc blocks all
 * signals around these calls, and a trap that is blocked kills. */
static int allow_threads(scmp_filter_ctx ctx)
{
	const scmp_datum_t flags = CLONE_THREAD | CLONE_FS;
	int r = allow_if(ctx, "clone", SCMP_A0_64(SCMP_CMP_MASKED_EQ, flags, flags));

	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		                     seccomp_syscall_resolve_name("clone"), 1,
		                     SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	if (r == 0)
		r = refuse(ctx, "fork", EPERM);
	if (r == 0)
		r = refuse(ctx, "vfork", EPERM);
	return r == 0 ? refuse(ctx, "clone3", ENOSYS) : r;
}

/* No memory that is written to is run. A library that libc loads (a name service) is mapped to be
 * read and run. */
static int allow_memory(scmp_filter_ctx ctx)
{
	int r = allow_if(ctx, "mprotect", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (r == 0)
		r = allow_if(ctx, "mmap", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = allow_if(ctx, "mmap", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0));
	return r;
}

static int allow_sockets(scmp_filter_ctx ctx)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		r = allow_if(ctx, "socket", SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	return r;
}

static int allow_process(scmp_filter_ctx ctx)
{
	static const int asked[] = {
		PR_SET_NAME, PR_GET_NAME,       PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP,
		PR_SET_VMA,  PR_SET_TIMERSLACK, PR_CAPBSET_READ,
	};
	const scmp_datum_t self = (scmp_datum_t)getpid();
	int r = allow_if(ctx, "kill", SCMP_A0_64(SCMP_CMP_EQ, self));

	if (r == 0)
		r = allow_if(ctx, "tgkill", SCMP_A0_64(SCMP_CMP_EQ, self));
	if (r == 0) /* to ask, not to change */
		r = allow_if(ctx, "prlimit64", SCMP_A2_64(SCMP_CMP_EQ, 0));
	for (size_t i = 0; r == 0 && i < sizeof(asked) / sizeof(asked[0]); i++)
		r = allow_if(ctx, "prctl", SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)asked[i]));
	return r;
}

static int fill(scmp_filter_ctx ctx, unsigned calls)
{
	int r = allow(ctx, always);

	if (r == 0 && (calls & OVBD_CALLS_MOUNT) != 0)
		r = allow(ctx, for_mount);
	if (r == 0 && (calls & OVBD_CALLS_RING) != 0)
		r = allow(ctx, for_ring);
	if (r == 0 && (calls & OVBD_CALLS_NODES) != 0)
		r = allow(ctx, for_nodes);
	if (r == 0)
		r = allow_threads(ctx);
	if (r == 0)
		r = allow_memory(ctx);
	if (r == 0)
		r = allow_sockets(ctx);
	return r == 0 ? allow_process(ctx) : r;
}

int confine_filter(unsigned calls, void (*refused)(const char *call), struct ovbd_error *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
	int r;

	tell = refused;
	r = ctx ? handle_traps() : -ENOMEM;
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0) /* what is not there is only slower */
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	if (r == 0)
		r = fill(ctx, calls);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? ovbd_fail_errno(err, r, "filtering system calls (--no-seccomp does without)")
	             : 0;
}
