// SPDX-License-Identifier: Apache-2.0
/*
 * The filter for 64-bit ARM, on whatever this runs on: made for it, written out as the kernel would
 * get it, and run by the interpreter below. That processor has no open, no poll, no rename: libc
 * makes the calls that follow instead, and the list is of those that it then makes.
 */
#include "tests/unit/test.h"

/* its parts are not for others */
#include "daemon/confine_filter.c"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

static struct sock_filter program[4096];
static size_t nprogram;

static void make(unsigned calls)
{
	FILE *f = tmpfile();
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);

	assert_non_null(f);
	assert_non_null(ctx);
	assert_int_equal(seccomp_arch_add(ctx, SCMP_ARCH_AARCH64), 0);
	assert_int_equal(seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE), 0);
	assert_int_equal(fill(ctx, calls), 0);
	assert_int_equal(seccomp_export_bpf(ctx, fileno(f)), 0);
	rewind(f);
	nprogram = fread(program, sizeof(program[0]), sizeof(program) / sizeof(program[0]), f);
	assert_true(nprogram > 100 && nprogram < sizeof(program) / sizeof(program[0]));
	seccomp_release(ctx);
	fclose(f);
}

static size_t jump(const struct sock_filter *i, bool yes)
{
	return yes ? i->jt : i->jf;
}

static uint32_t run(const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t at = 0; at < nprogram; at++) {
		const struct sock_filter *i = &program[at];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k + 4 <= sizeof(*d));
			memcpy(&a, (const char *)d + i->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			at += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += jump(i, a == i->k);
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += jump(i, a >= i->k);
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			at += jump(i, a > i->k);
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("an instruction %#x", i->code);
		}
	}
	fail_msg("the filter does not end");
	return 0;
}

static uint32_t ask(const char *call, uint64_t a0, uint64_t a2)
{
	const int nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_AARCH64, call);
	const struct seccomp_data d = {nr, AUDIT_ARCH_AARCH64, 0, {a0, 0, a2}};

	if (nr < 0)
		fail_msg("%s: not of this processor", call);
	return run(&d);
}

static void test_served(void **state)
{
	static const char *const calls[] = {
		"openat",
		"newfstatat",
		"fstat",
		"statx",
		"ppoll",
		"epoll_pwait",
		"pselect6",
		"dup3",
		"pipe2",
		"mkdirat",
		"unlinkat",
		"renameat",
		"symlinkat",
		"faccessat",
		"readlinkat",
		"fchmodat",
		"getdents64",
		"eventfd2",
		"accept4",
		"sendmsg",
		"recvmsg",
		"futex",
		"read",
		"write",
		"pread64",
		"pwrite64",
		"preadv",
		"pwritev",
		"fallocate",
		"fdatasync",
		"ioctl",
		"munmap",
		"madvise",
		"exit",
		"exit_group",
		"rt_sigreturn",
		"rseq",
		"clock_gettime",
		"rt_sigtimedwait",
		"getrandom",
		"set_robust_list",
		"clock_nanosleep",
		"epoll_create1",
		"sendto",
		"recvfrom",
	};

	(void)state;
	make(0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (ask(calls[i], 0, 0) != SECCOMP_RET_ALLOW)
			fail_msg("%s is not allowed", calls[i]);
	assert_int_equal(ask("clone", CLONE_THREAD | CLONE_FS | CLONE_VM, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask("mmap", 0, PROT_READ | PROT_WRITE), SECCOMP_RET_ALLOW);
	assert_int_equal(ask("mprotect", 0, PROT_READ), SECCOMP_RET_ALLOW);
	assert_int_equal(ask("socket", AF_NETLINK, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask("tgkill", (uint64_t)getpid(), SIGABRT), SECCOMP_RET_ALLOW);
}

static void test_refused(void **state)
{
	static const char *const calls[] = {
		"execve", "ptrace",      "setns",          "unshare",         "mount",
		"bpf",    "init_module", "io_uring_setup", "perf_event_open", "process_vm_readv",
		"setuid", "capset",      "keyctl",         "reboot",
	};
	struct seccomp_data foreign = {.nr = 56, .arch = AUDIT_ARCH_X86_64};

	(void)state;
	make(0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (ask(calls[i], 0, 0) != SECCOMP_RET_TRAP)
			fail_msg("%s is not trapped", calls[i]);
	assert_int_equal(ask("clone", SIGCHLD, 0), SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(ask("clone3", 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(ask("mmap", 0, PROT_WRITE | PROT_EXEC), SECCOMP_RET_TRAP);
	assert_int_equal(ask("mprotect", 0, PROT_READ | PROT_EXEC), SECCOMP_RET_TRAP);
	assert_int_equal(ask("socket", AF_PACKET, 0), SECCOMP_RET_TRAP);
	assert_int_equal(ask("kill", 1, 0), SECCOMP_RET_TRAP);
	assert_int_not_equal(run(&foreign), SECCOMP_RET_ALLOW);
	make(OVBD_CALLS_MOUNT | OVBD_CALLS_RING);
	assert_int_equal(ask("mount", 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask("io_uring_enter", 0, 0), SECCOMP_RET_ALLOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_served),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
