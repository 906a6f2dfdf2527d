// SPDX-License-Identifier: Apache-2.0
/*
 * Capabilities are of a thread, and a thread that is started has those of its parent; so this is
 * done before there is a second one. The bounding set goes first: that needs CAP_SETPCAP.
 */
#include "daemon/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[] = {
	[CAP_CHOWN] = "chown",
	[CAP_DAC_OVERRIDE] = "dac_override",
	[CAP_DAC_READ_SEARCH] = "dac_read_search",
	[CAP_FOWNER] = "fowner",
	[CAP_FSETID] = "fsetid",
	[CAP_KILL] = "kill",
	[CAP_SETGID] = "setgid",
	[CAP_SETUID] = "setuid",
	[CAP_SETPCAP] = "setpcap",
	[CAP_LINUX_IMMUTABLE] = "linux_immutable",
	[CAP_NET_BIND_SERVICE] = "net_bind_service",
	[CAP_NET_BROADCAST] = "net_broadcast",
	[CAP_NET_ADMIN] = "net_admin",
	[CAP_NET_RAW] = "net_raw",
	[CAP_IPC_LOCK] = "ipc_lock",
	[CAP_IPC_OWNER] = "ipc_owner",
	[CAP_SYS_MODULE] = "sys_module",
	[CAP_SYS_RAWIO] = "sys_rawio",
	[CAP_SYS_CHROOT] = "sys_chroot",
	[CAP_SYS_PTRACE] = "sys_ptrace",
	[CAP_SYS_PACCT] = "sys_pacct",
	[CAP_SYS_ADMIN] = "sys_admin",
	[CAP_SYS_BOOT] = "sys_boot",
	[CAP_SYS_NICE] = "sys_nice",
	[CAP_SYS_RESOURCE] = "sys_resource",
	[CAP_SYS_TIME] = "sys_time",
	[CAP_SYS_TTY_CONFIG] = "sys_tty_config",
	[CAP_MKNOD] = "mknod",
	[CAP_LEASE] = "lease",
	[CAP_AUDIT_WRITE] = "audit_write",
	[CAP_AUDIT_CONTROL] = "audit_control",
	[CAP_SETFCAP] = "setfcap",
	[CAP_MAC_OVERRIDE] = "mac_override",
	[CAP_MAC_ADMIN] = "mac_admin",
	[CAP_SYSLOG] = "syslog",
	[CAP_WAKE_ALARM] = "wake_alarm",
	[CAP_BLOCK_SUSPEND] = "block_suspend",
	[CAP_AUDIT_READ] = "audit_read",
	[CAP_PERFMON] = "perfmon",
	[CAP_BPF] = "bpf",
	[CAP_CHECKPOINT_RESTORE] = "checkpoint_restore",
};

#define CAPS_MAX (sizeof(names) / sizeof(names[0]))

const char *ovbd_confine_cap_name(unsigned cap)
{
	return cap < CAPS_MAX ? names[cap] : NULL;
}

static int get_caps(struct __user_cap_data_struct ret[2])
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &head, ret) < 0 ? -errno : 0;
}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)},
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static uint64_t both(uint32_t low, uint32_t high)
{
	return low | (uint64_t)high << 32;
}

/* Those that keep has no bit for leave the bounding set, as far as this process may say so. */
static int bound_caps(uint64_t keep)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if ((keep >> cap & 1) != 0 || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL) /* there are no more */
			return 0;
		return -errno;
	}
	return 0;
}

static int drop_caps(uint64_t keep, struct ovbd_error *err)
{
	struct __user_cap_data_struct have[2];
	uint64_t permitted;
	int r = get_caps(have);

	if (r < 0)
		return ovbd_fail_errno(err, r, "reading the capabilities of the process");
	permitted = both(have[0].permitted, have[1].permitted);
	if ((permitted & OVBD_CAP(SETPCAP)) != 0)
		r = bound_caps(keep);
	if (r == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = set_caps(permitted & keep);
	return r < 0 ? ovbd_fail_errno(err, r, "giving up capabilities") : 0;
}

int ovbd_confine(const struct ovbd_confine_params *p, bool *ret_filtered, struct ovbd_error *err)
{
	int r = drop_caps(p->caps, err);

	*ret_filtered = false;
	if (r < 0 || geteuid() != 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return ovbd_fail_errno(err, -errno, "giving up new privileges");
	if (p->no_filter)
		return 0;
	r = confine_filter(p->calls, p->refused, err);
	*ret_filtered = r == 0;
	return r < 0 ? r : 0;
}

int ovbd_confinement_read(struct ovbd_confinement *ret, struct ovbd_error *err)
{
	struct __user_cap_data_struct have[2];
	int r = get_caps(have);

	if (r < 0)
		return ovbd_fail_errno(err, r, "reading the capabilities of the process");
	*ret = (struct ovbd_confinement){
		.caps = both(have[0].effective, have[1].effective),
		.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
		.filtered = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2,
	};
	return 0;
}

void ovbd_confine_tell(const char *before, const char *call, const char *after)
{
	const char *const parts[] = {before, call, after};
	char line[256];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		for (const char *c = parts[i]; *c && n < sizeof(line) - 1; c++)
			line[n++] = *c;
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody listens */
}
