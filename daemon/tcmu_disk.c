// SPDX-License-Identifier: Apache-2.0
/*
 * In configfs, below /sys/kernel/config/target:
 *
 *     core/user_HBA/DEVICE/                      the disk: control, enable, attrib/, action/
 *     loopback/naa.N/tpgt_1/                     a port of the loopback fabric: nexus, address
 *     loopback/naa.N/tpgt_1/lun/lun_0/DEVICE ->  core/user_HBA/DEVICE
 *
 * The symbolic link is what makes the SCSI disk: the kernel scans it before symlink() returns, and
 * sd makes the block device a little later. N is made of the device's name, so that a port is found
 * again; a disk that others have linked is looked for in all ports.
 */
#include "daemon/tcmu_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/auto.h"
#include "daemon/tcmu_helper.h"
#include "daemon/tcmu_impl.h"

#define TARGET       "/sys/kernel/config/target"
#define LOOPBACK     TARGET "/loopback"
#define OPTIONS      "hw_max_sectors=2048,max_data_area_mb=32,nl_reply_supported=-1"
#define PATH_MAX_    1024
#define CONFIG_MAX   240   /* the kernel's own limit, without the subtype */
#define FOUND_MS     20000 /* for sd to make the block device */
#define FOUND_POLL   10
#define SCSI_TIMEOUT "2147483" /* seconds; the largest one */

static int make_dir(const char *path, struct ovbd_error *err)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return ovbd_fail_errno(err, -errno, "%s", path);
	return 0;
}

static int remove_dir(const char *path, struct ovbd_error *err)
{
	if (rmdir(path) < 0 && errno != ENOENT)
		return ovbd_fail_errno(err, -errno, "%s: removing it", path);
	return 0;
}

static void device_path(unsigned hba, const char *device, const char *rest, char ret[PATH_MAX_])
{
	snprintf(ret, PATH_MAX_, TARGET "/core/user_%u/%s%s", hba, device, rest);
}

/* A locally assigned NAA: 60 bits of FNV-1a. */
static void port_name(const char *device, char ret[32])
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (const char *c = device; *c; c++)
		h = (h ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
	snprintf(ret, 32, "naa.3%015" PRIx64, h >> 4);
}

static void port_path(const char *device, const char *rest, char ret[PATH_MAX_])
{
	char name[32];

	port_name(device, name);
	snprintf(ret, PATH_MAX_, LOOPBACK "/%s%s", name, rest);
}

int ovbd_tcmu_disk_available(struct ovbd_error *err)
{
	if (access("/sys/module/target_core_user", F_OK) < 0 ||
	    access("/sys/module/tcm_loop", F_OK) < 0)
		return ovbd_fail(err, -ENODEV,
		                 "tcmu: the kernel's modules are not loaded: modprobe -a "
		                 "target_core_user tcm_loop");
	if (access(TARGET "/core", R_OK | W_OK | X_OK) < 0)
		return ovbd_fail_errno(err, -errno,
		                       "tcmu: " TARGET "/core (root only; mount -t configfs none "
		                       "/sys/kernel/config)");
	return 0;
}

/* The file's number. */
static int read_number(const char *path, uint64_t *ret, struct ovbd_error *err)
{
	char text[32] = "", *end;
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	*ret = strtoull(text, &end, 10);
	if (end == text)
		return ovbd_fail(err, -EBADMSG, "%s: '%s' is no number", path, text);
	return 0;
}

/* --- the disk --- */

static int configure(const char *device, const char *config, uint64_t size, struct ovbd_error *err)
{
	char path[PATH_MAX_], control[PATH_MAX_];
	int r;

	snprintf(control, sizeof(control), "dev_config=ovbd/%s,dev_size=%" PRIu64 "," OPTIONS,
	         config, size);
	device_path(OVBD_TCMU_HBA, device, "/control", path);
	r = ovbd_tcmu_write(path, control, err);
	if (r < 0)
		return r;
	device_path(OVBD_TCMU_HBA, device, "/enable", path);
	return ovbd_tcmu_write(path, "1", err);
}

/* The disk that is there. -ENOENT: there is none. */
static int find_own(const char *device, const char *config, unsigned *ret_minor,
                    struct ovbd_error *err)
{
	struct ovbd_tcmu_name name;
	int r = ovbd_tcmu_find(OVBD_TCMU_HBA, device, ret_minor, err);

	if (r == 0)
		r = ovbd_tcmu_name_of(*ret_minor, &name, err);
	if (r == 0 && strcmp(name.config, config) != 0)
		return ovbd_fail(err, -EEXIST,
		                 "the id is taken: the kernel has a disk of %s; take another id",
		                 name.config);
	return r;
}

int ovbd_tcmu_disk_make(const char *manager, const char *device, uint64_t size, unsigned *ret_minor,
                        struct ovbd_error *err)
{
	char path[PATH_MAX_], config[CONFIG_MAX + 1];
	int r = snprintf(config, sizeof(config), "%s/%s", manager, device);

	if (r < 0 || r > CONFIG_MAX || strpbrk(config, ",\n"))
		return ovbd_fail(err, -E2BIG,
		                 "%s/%s: longer than %d characters, or with a comma: the kernel "
		                 "takes no such name",
		                 manager, device, CONFIG_MAX);
	snprintf(path, sizeof(path), TARGET "/core/user_%u", OVBD_TCMU_HBA);
	r = make_dir(path, err);
	device_path(OVBD_TCMU_HBA, device, "", path);
	if (r == 0)
		r = make_dir(path, err);
	if (r < 0)
		return r;
	r = find_own(device, config, ret_minor, err);
	if (r != -ENOENT)
		return r;
	r = configure(device, config, size, err);
	if (r == 0)
		r = find_own(device, config, ret_minor, err);
	if (r < 0)
		ovbd_tcmu_disk_remove(device, NULL);
	return r;
}

int ovbd_tcmu_disk_remove(const char *device, struct ovbd_error *err)
{
	char path[PATH_MAX_];

	device_path(OVBD_TCMU_HBA, device, "", path);
	return remove_dir(path, err);
}

int ovbd_tcmu_disk_block_size(unsigned hba, const char *device, uint32_t *ret,
                              struct ovbd_error *err)
{
	char path[PATH_MAX_];
	uint64_t n;
	int r;

	device_path(hba, device, "/attrib/hw_block_size", path);
	r = read_number(path, &n, err);
	if (r == 0)
		*ret = (uint32_t)n;
	return r;
}

/* --- its block device --- */

/* The SCSI device of the port's LUN, in sysfs; false if there is none. */
static bool find_scsi(const char *port, char ret[PATH_MAX_])
{
	char path[PATH_MAX_], address[32];
	AUTO_FD fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/address", port);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, address, sizeof(address) - 1);
	if (n <= 0)
		return false;
	address[n] = '\0';
	address[strcspn(address, "\n")] = '\0';
	snprintf(ret, PATH_MAX_, "/sys/class/scsi_device/%s:0/device", address);
	return true;
}

/* The name of the port's block device, if it is there already. */
static bool find_block(const char *port, char ret_path[OVBD_TCMU_PATH_SIZE])
{
	char scsi[PATH_MAX_], path[PATH_MAX_ + 16];
	const struct dirent *e;
	DIR *dir;

	if (!find_scsi(port, scsi))
		return false;
	snprintf(path, sizeof(path), "%s/block", scsi);
	dir = opendir(path);
	if (!dir)
		return false;
	do
		e = readdir(dir);
	while (e && e->d_name[0] == '.');
	if (e)
		snprintf(ret_path, OVBD_TCMU_PATH_SIZE, "/dev/%.32s", e->d_name);
	closedir(dir);
	return e && access(ret_path, F_OK) == 0;
}

static int wait_for_block(const char *port, char ret_path[OVBD_TCMU_PATH_SIZE],
                          struct ovbd_error *err)
{
	const struct timespec pause = {.tv_nsec = FOUND_POLL * 1000000L};

	for (unsigned ms = 0; !find_block(port, ret_path); ms += FOUND_POLL) {
		if (ms >= FOUND_MS)
			return ovbd_fail(
				err, -ETIMEDOUT,
				"%s: the kernel made no block device of it (module sd_mod?)", port);
		nanosleep(&pause, NULL);
	}
	return 0;
}

int ovbd_tcmu_disk_link(const char *device, char ret_path[OVBD_TCMU_PATH_SIZE],
                        struct ovbd_error *err)
{
	static const char *const dirs[] = {"", "/tpgt_1", "/tpgt_1/lun/lun_0"};
	char path[PATH_MAX_], target[PATH_MAX_], name[32];
	int r;

	r = make_dir(LOOPBACK, err);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		port_path(device, dirs[i], path);
		r = make_dir(path, err);
	}
	if (r < 0)
		return r;
	port_name(device, name);
	port_path(device, "/tpgt_1/nexus", path);
	r = ovbd_tcmu_write(path, name, err);
	if (r < 0 && r != -EEXIST)
		return r;
	device_path(OVBD_TCMU_HBA, device, "", target);
	port_path(device, "/tpgt_1/lun/lun_0/disk", path);
	if (access(path, F_OK) < 0)
		r = ovbd_tcmu_helper_link(target, path, err);
	if (r < 0 && r != -EEXIST)
		return r;
	port_path(device, "/tpgt_1", path);
	r = wait_for_block(path, ret_path, err);
	if (r < 0)
		return r;
	if (!find_scsi(path, target))
		return ovbd_fail(err, -ENODEV, "%s: its LUN is gone", path);
	snprintf(path, sizeof(path), "%.900s/timeout", target);
	return ovbd_tcmu_write(path, SCSI_TIMEOUT, err);
}

int ovbd_tcmu_disk_unlink(const char *device, struct ovbd_error *err)
{
	static const char *const dirs[] = {"/tpgt_1/lun/lun_0", "/tpgt_1", ""};
	char path[PATH_MAX_];
	int r = 0;

	port_path(device, "/tpgt_1/lun/lun_0/disk", path);
	if (access(path, F_OK) == 0)
		r = ovbd_tcmu_helper_link("", path, err);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		port_path(device, dirs[i], path);
		r = remove_dir(path, err);
	}
	return r;
}

/* Whether the LUN at path is the disk's: one of its entries is a link to it. */
static bool is_lun_of(const char *path, const char *disk)
{
	const size_t n = strlen(disk);
	char link[2 * PATH_MAX_], to[PATH_MAX_];
	const struct dirent *e;
	bool is = false;
	DIR *dir = opendir(path);

	while (dir && !is && (e = readdir(dir))) {
		ssize_t len;

		if (e->d_type != DT_LNK)
			continue;
		snprintf(link, sizeof(link), "%s/%.255s", path, e->d_name);
		len = readlink(link, to, sizeof(to));
		is = len > (ssize_t)n && memcmp(to + len - n, disk, n) == 0;
	}
	if (dir)
		closedir(dir);
	return is;
}

int ovbd_tcmu_disk_path(unsigned hba, const char *device, char ret_path[OVBD_TCMU_PATH_SIZE],
                        struct ovbd_error *err)
{
	char port[PATH_MAX_ / 2], lun[PATH_MAX_], disk[OVBD_TCMU_NAME_SIZE + 32];
	const struct dirent *e;
	DIR *dir = opendir(LOOPBACK);
	bool found = false;

	snprintf(disk, sizeof(disk), "/user_%u/%s", hba, device);
	while (dir && !found && (e = readdir(dir))) {
		if (strncmp(e->d_name, "naa.", 4) != 0)
			continue;
		snprintf(port, sizeof(port), LOOPBACK "/%.255s/tpgt_1", e->d_name);
		snprintf(lun, sizeof(lun), "%s/lun/lun_0", port);
		found = is_lun_of(lun, disk) && find_block(port, ret_path);
	}
	if (dir)
		closedir(dir);
	return found ? 0 : ovbd_fail(err, -ENOENT, "%s: it is no block device", disk + 1);
}

int ovbd_tcmu_disk_size(unsigned hba, const char *device, uint64_t *ret, struct ovbd_error *err)
{
	char name[OVBD_TCMU_PATH_SIZE], path[PATH_MAX_];
	uint64_t sectors;
	int r = ovbd_tcmu_disk_path(hba, device, name, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/sys/class/block/%s/size", name + strlen("/dev/"));
	r = read_number(path, &sectors, err);
	if (r == 0 && sectors == 0)
		return ovbd_fail(err, -ENOENT, "%s: of no size", name);
	if (r == 0)
		*ret = sectors * 512; /* whatever the disk's blocks are */
	return r;
}
