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
 * again.
 *
 * While somebody is in symlink() the directory of the LUN is locked, and who looks into it waits
 * for the scan, which waits for the disk's server. So before a disk is served nothing here looks
 * there: the block device of a disk that is found is looked for in sysfs, by the port's SCSI
 * address, or by the serial number, which is the id, where others have made the port.
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
#include "daemon/fault_point.h"
#include "daemon/helper.h"
#include "daemon/tcmu_impl.h"

#define TARGET       "/sys/kernel/config/target"
#define LOOPBACK     TARGET "/loopback"
#define SCSI         "/sys/class/scsi_device"
#define OPTIONS      "hw_max_sectors=2048,max_data_area_mb=32,nl_reply_supported=-1"
#define PATH_MAX_    1024
#define NAME_SIZE    32
#define SERIAL_SIZE  257
#define CONFIG_MAX   240   /* the kernel's own limit, without the subtype */
#define FOUND_MS     20000 /* for sd to make the block device */
#define FOUND_POLL   10
#define TELL_MS      10000     /* the server may be about to end */
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
	ovbd_fault_point("make-configured");
	if (r < 0)
		return r;
	device_path(OVBD_TCMU_HBA, device, "/enable", path);
	r = ovbd_tcmu_write(path, "1", err);
	ovbd_fault_point("make-enabled");
	return r;
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
                        bool *ret_found, struct ovbd_error *err)
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
	ovbd_fault_point("make-begun");
	if (r < 0)
		return r;
	r = find_own(device, config, ret_minor, err);
	*ret_found = r != -ENOENT;
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

	int r;

	device_path(OVBD_TCMU_HBA, device, "", path);
	r = remove_dir(path, err);
	ovbd_fault_point("unmake-done");
	return r;
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
	snprintf(ret, PATH_MAX_, SCSI "/%s:0/device", address);
	return true;
}

/* The name of the SCSI device's block device. */
static bool find_entry(const char *scsi, char ret[NAME_SIZE])
{
	char path[PATH_MAX_];
	const struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%.900s/block", scsi);
	dir = opendir(path);
	if (!dir)
		return false;
	do
		e = readdir(dir);
	while (e && e->d_name[0] == '.');
	if (e)
		snprintf(ret, NAME_SIZE, "%.31s", e->d_name);
	closedir(dir);
	return e != NULL;
}

/* The port's block device, if it is there already. */
static bool find_block(const char *port, char ret_path[OVBD_TCMU_PATH_SIZE])
{
	char scsi[PATH_MAX_], name[NAME_SIZE];

	if (!find_scsi(port, scsi) || !find_entry(scsi, name))
		return false;
	snprintf(ret_path, OVBD_TCMU_PATH_SIZE, "/dev/%s", name);
	return access(ret_path, F_OK) == 0;
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
	ovbd_fault_point("link-begun");
	if (access(path, F_OK) < 0)
		r = ovbd_helper_link(target, path, err);
	ovbd_fault_point("link-done");
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
	ovbd_fault_point("unlink-begun");
	if (access(path, F_OK) == 0)
		r = ovbd_helper_link("", path, err);
	ovbd_fault_point("unlink-done");
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		port_path(device, dirs[i], path);
		r = remove_dir(path, err);
	}
	return r;
}

/* The size of the SCSI device's disk, whatever its blocks are. */
static int size_of(const char *scsi, uint64_t *ret, struct ovbd_error *err)
{
	char name[NAME_SIZE], path[PATH_MAX_];
	uint64_t sectors;
	int r;

	if (!find_entry(scsi, name))
		return ovbd_fail(err, -ENOENT, "%s: it has no block device", scsi);
	snprintf(path, sizeof(path), "%.900s/block/%s/size", scsi, name);
	r = read_number(path, &sectors, err);
	if (r == 0 && sectors == 0)
		return ovbd_fail(err, -ENOENT, "%s: of no size", name);
	if (r == 0)
		*ret = sectors * 512;
	return r;
}

int ovbd_tcmu_disk_size(const char *device, uint64_t *ret, struct ovbd_error *err)
{
	char port[PATH_MAX_], scsi[PATH_MAX_];

	port_path(device, "/tpgt_1", port);
	if (!find_scsi(port, scsi))
		return ovbd_fail(err, -ENOENT, "%s: has no block device", device);
	return size_of(scsi, ret, err);
}

/* The serial number that the SCSI device has told the kernel when it was found; "": none. */
static void read_serial(const char *scsi, char ret[SERIAL_SIZE])
{
	char path[PATH_MAX_], page[4 + SERIAL_SIZE - 1];
	AUTO_FD fd = -1;
	ssize_t len;

	snprintf(path, sizeof(path), "%.900s/vpd_pg80", scsi);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, page, sizeof(page));
	ret[0] = '\0';
	if (len >= 4)
		snprintf(ret, SERIAL_SIZE, "%.*s", (int)(len - 4), page + 4);
}

/* Calls found() with each SCSI device of the host until it returns something else than 0. */
static int each_scsi(int (*found)(void *arg, const char *scsi, const char *serial), void *arg)
{
	char scsi[PATH_MAX_], serial[SERIAL_SIZE];
	const struct dirent *e;
	DIR *dir = opendir(SCSI);
	int r = 0;

	while (dir && r == 0 && (e = readdir(dir))) {
		snprintf(scsi, sizeof(scsi), SCSI "/%.64s/device", e->d_name);
		read_serial(scsi, serial);
		if (serial[0])
			r = found(arg, scsi, serial);
	}
	if (dir)
		closedir(dir);
	return r;
}

struct search {
	const char *serial;
	uint64_t size;
	struct ovbd_error *err;
};

static int take_size(void *arg, const char *scsi, const char *serial)
{
	struct search *s = arg;
	int r;

	if (strcmp(serial, s->serial) != 0)
		return 0;
	r = size_of(scsi, &s->size, s->err);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

int ovbd_tcmu_disk_size_by_serial(const char *serial, uint64_t *ret, struct ovbd_error *err)
{
	struct search s = {.serial = serial, .err = err};
	const int r = each_scsi(take_size, &s);

	if (r == 0)
		return ovbd_fail(err, -ENOENT, "%s: has no block device", serial);
	if (r < 0)
		return r;
	*ret = s.size;
	return 0;
}

struct telling {
	const char *serial;
	struct ovbd_error *err;
};

/* sd asks for the capacity again, and tells its own users. */
static int rescan(void *arg, const char *scsi, const char *serial)
{
	const struct telling *t = arg;
	char path[PATH_MAX_];

	if (strcmp(serial, t->serial) != 0)
		return 0;
	snprintf(path, sizeof(path), "%.900s/rescan", scsi);
	return ovbd_helper_write(path, "1", TELL_MS, t->err);
}

int ovbd_tcmu_disk_tell_size(const struct ovbd_tcmu_name *n, const char *serial, uint64_t size,
                             struct ovbd_error *err)
{
	struct telling t = {serial, err};
	char path[PATH_MAX_], text[NAME_SIZE];
	int r = each_scsi(rescan, &t);

	device_path(n->hba, n->device, "/attrib/dev_size", path);
	if (r < 0 || access(path, F_OK) < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, size);
	r = ovbd_helper_write(path, text, TELL_MS, err);
	/* EBUSY: somebody else is writing it, and the kernel waits for what we say. EAGAIN: we have
	 * just begun to listen (ovbd_tcmu_listen()); nobody needs it. */
	return r == -EBUSY || r == -EAGAIN ? 0 : r;
}

struct places {
	void (*found)(void *arg, const char *serial, const char *path);
	void *arg;
};

static int tell_place(void *arg, const char *scsi, const char *serial)
{
	const struct places *p = arg;
	char name[NAME_SIZE], path[OVBD_TCMU_PATH_SIZE];

	if (find_entry(scsi, name)) {
		snprintf(path, sizeof(path), "/dev/%s", name);
		p->found(p->arg, serial, path);
	}
	return 0;
}

void ovbd_tcmu_disk_places(void (*found)(void *arg, const char *serial, const char *path),
                           void *arg)
{
	struct places p = {found, arg};

	each_scsi(tell_place, &p);
}
