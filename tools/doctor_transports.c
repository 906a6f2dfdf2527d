// SPDX-License-Identifier: Apache-2.0
/* What each way to a device needs of the host. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/auto.h"
#include "tools/doctor.h"

const char *const ovbd_doctor_transports[] = {"tcmu", "ublk", "nbd", "fuse", NULL};

/* Whether the device node can be opened, or a finding of why not. */
static bool can_open(const struct ovbd_host *h, struct ovbd_report *r, const char *about,
                     const char *node, const char *module)
{
	AUTO_FREE char *path = doctor_path(h, node), *command = NULL;
	AUTO_FD fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK) : -1;
	const int code = errno;

	if (fd >= 0)
		return true;
	if (asprintf(&command, "modprobe %s", module) < 0)
		return false;
	if (code == ENOENT || code == ENODEV || code == ENXIO)
		doctor_find(r, about, OVBD_FINDING_FAIL, command,
		            "%s is not there; a container must be given it (--device %s)", node,
		            node);
	else if ((code == EACCES || code == EPERM) && doctor_is_admin(h))
		doctor_find(r, about, OVBD_FINDING_FAIL, "",
		            "%s may not be opened, though this is root: a container must be given "
		            "it (--device %s)",
		            node, node);
	else if (code == EACCES || code == EPERM)
		doctor_find(r, about, OVBD_FINDING_FAIL, "sudo ovbd doctor",
		            "%s may not be opened by this user: only root can", node);
	else
		doctor_find(r, about, OVBD_FINDING_FAIL, "", "%s: %s", node, strerror(code));
	return false;
}

static bool is_program(const struct ovbd_host *h, const char *name)
{
	AUTO_FREE char *search = strdup(h->search);
	char *rest = NULL;

	for (char *dir = search ? strtok_r(search, ":", &rest) : NULL; dir;
	     dir = strtok_r(NULL, ":", &rest)) {
		AUTO_FREE char *inside = NULL;

		if (asprintf(&inside, "%s/%s", dir, name) >= 0 && doctor_exists(h, inside))
			return true;
	}
	return false;
}

static bool check_admin(const struct ovbd_host *h, struct ovbd_report *r, const char *about)
{
	if (doctor_is_admin(h))
		return true;
	doctor_find(r, about, OVBD_FINDING_FAIL, "sudo ovbd doctor",
	            "only root can (CAP_SYS_ADMIN): ask ovbdd, which is, or run as root");
	return false;
}

static void look_at_tcmu(const struct ovbd_host *h, struct ovbd_report *r)
{
	bool good = doctor_module(h, r, "tcmu", "target_core_user");

	good &= doctor_module(h, r, "tcmu", "tcm_loop");
	if (!doctor_exists(h, "/sys/kernel/config/target") && good) {
		doctor_find(r, "tcmu", OVBD_FINDING_FAIL,
		            "mount -t configfs configfs /sys/kernel/config",
		            "configfs is not mounted at /sys/kernel/config");
		good = false;
	}
	good &= check_admin(h, r, "tcmu");
	if (good)
		doctor_find(
			r, "tcmu", OVBD_FINDING_OK, "",
			"disks of the kernel's SCSI target: the modules are loaded, configfs is "
			"mounted");
}

static bool check_io_uring(const struct ovbd_host *h, struct ovbd_report *r)
{
	const int code = h->io_uring();

	if (code == 0)
		return true;
	if (doctor_mentions(h, "/proc/sys/kernel/io_uring_disabled", "2") ||
	    doctor_mentions(h, "/proc/sys/kernel/io_uring_disabled", "1"))
		doctor_find(r, "ublk", OVBD_FINDING_FAIL, "sysctl kernel.io_uring_disabled=0",
		            "io_uring is switched off (sysctl kernel.io_uring_disabled)");
	else if (code == -EPERM || code == -ENOSYS)
		doctor_find(r, "ublk", OVBD_FINDING_FAIL, "",
		            "io_uring is not allowed here: a container's seccomp profile denies it "
		            "(--security-opt seccomp=...)");
	else
		doctor_find(r, "ublk", OVBD_FINDING_FAIL, "", "io_uring: %s", strerror(-code));
	return false;
}

static void look_at_ublk(const struct ovbd_host *h, struct ovbd_report *r)
{
	bool good;
	int major = 0, minor = 0;

	/* what it says is a number, or else 0 and too old */
	if (sscanf(h->release, "%d.%d", &major, &minor) < 1 || major < 6 ||
	    (major == 6 && minor < 5)) {
		doctor_find(
			r, "ublk", OVBD_FINDING_FAIL, "",
			"needs Linux 6.5 or later, and this is %s (Debian 12: the kernel of its "
			"backports)",
			h->release);
		return;
	}
	good = doctor_module(h, r, "ublk", "ublk_drv") &&
	       can_open(h, r, "ublk", "/dev/ublk-control", "ublk_drv");
	good &= check_io_uring(h, r);
	if (good)
		doctor_find(
			r, "ublk", OVBD_FINDING_OK, "",
			"disks by io_uring, which outlive their server: /dev/ublk-control can be "
			"opened");
}

static void look_at_nbd(const struct ovbd_host *h, struct ovbd_report *r)
{
	bool good = doctor_module(h, r, "nbd", "nbd");

	good &= check_admin(h, r, "nbd");
	if (good)
		doctor_find(r, "nbd", OVBD_FINDING_OK, "",
		            "disks by the kernel's NBD client: the module is loaded");
}

static void look_at_fuse(const struct ovbd_host *h, struct ovbd_report *r)
{
	bool good = can_open(h, r, "fuse", "/dev/fuse", "fuse");

	if (good && !doctor_is_admin(h) && !is_program(h, "fusermount3")) {
		doctor_find(r, "fuse", OVBD_FINDING_FAIL, "apt-get install fuse3",
		            "who is not root mounts by fusermount3, which is not in $PATH");
		good = false;
	}
	if (good)
		doctor_find(r, "fuse", OVBD_FINDING_OK, "",
		            "read-only files, to be loop-mounted: /dev/fuse can be opened");
}

/* Only who has phones' updates misses them, so they are no failures. */
static void look_at_updates(const struct ovbd_host *h, struct ovbd_report *r)
{
	doctor_find(r, "dm-snapshot", OVBD_FINDING_OK, "", "%s",
	            doctor_exists(h, "/sys/module/dm_snapshot")
	                    ? "phones' updates by 'ovbd snapshot': the kernel has the target"
	                    : "phones' updates by 'ovbd snapshot' would need modprobe dm_snapshot");
	doctor_find(r, "dm-user", OVBD_FINDING_OK, "", "%s",
	            doctor_exists(h, "/dev/dm-user") || doctor_exists(h, "/sys/module/dm_user")
	                    ? "phones' updates as snapuserd serves them: the kernel has the target"
	                    : "phones' updates as snapuserd serves them: only Android's kernels "
	                      "have the target");
}

void doctor_transports(const struct ovbd_host *h, struct ovbd_report *r)
{
	look_at_tcmu(h, r);
	look_at_ublk(h, r);
	look_at_nbd(h, r);
	look_at_fuse(h, r);
	look_at_updates(h, r);
}
