// SPDX-License-Identifier: Apache-2.0
/*
 * How a server finds the disk that an earlier one has left: by the tag that it gave it, which the
 * driver keeps from the disk's first moment. So nothing has to be written down before a disk is
 * added. Neither question, to the driver or to sysfs, needs the lock of a disk, which may hang.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "daemon/ublk_impl.h"

#define DISKS_DIR "/sys/class/ublk-char"

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Whether the disk id has the tag. */
static bool has_tag(int control_fd, uint32_t id, uint64_t tag)
{
	struct ublk_dev_info info = {0};

	return ublk_command(control_fd, UBLK_GET_DEV_INFO,
	                    ublk_about_buf(id, &info, sizeof(info))) == 0 &&
	       info.ublksrv_flags == tag;
}

static int search(int control_fd, uint64_t tag)
{
	OVBD_AUTO(close_dirp) DIR *d = opendir(DISKS_DIR);
	const struct dirent *e;
	uint32_t id;

	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, "ublkc%" SCNu32, &id) == 1 && has_tag(control_fd, id, tag))
			return (int)id;
	return -ENOENT;
}

/* Of a disk that was started; else 0. */
static uint64_t disk_size(int id)
{
	char name[64], text[32] = "";
	FILE *f;

	snprintf(name, sizeof(name), "/sys/class/block/ublkb%d/size", id);
	f = fopen(name, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return strtoull(text, NULL, 10) << UBLK_SECTOR_SHIFT;
}

/* Its number, or -errno. */
static int find(int control_fd, uint64_t tag, int hint)
{
	if (hint >= 0 && has_tag(control_fd, (uint32_t)hint, tag))
		return hint;
	return search(control_fd, tag);
}

int ovbd_ublk_find(uint64_t tag, int hint, int *ret_id, uint64_t *ret_size, struct ovbd_error *err)
{
	AUTO_FD control_fd = -1;
	int id, r = ublk_control_open(&control_fd, err);

	if (r < 0)
		return r;
	id = find(control_fd, tag, hint);
	if (id < 0)
		return ovbd_fail(err, id, "ublk: there is no disk with the tag %016" PRIx64, tag);
	*ret_id = id;
	*ret_size = disk_size(id);
	return 0;
}

int ovbd_ublk_abandon(uint64_t tag, int hint, struct ovbd_error *err)
{
	AUTO_FD control_fd = -1;
	int id, r = ublk_control_open(&control_fd, err);

	if (r < 0)
		return r;
	id = find(control_fd, tag, hint);
	if (id < 0)
		return 0;
	r = ublk_device_delete(control_fd, (uint32_t)id);
	return r < 0 ? ovbd_fail_errno(err, r, "/dev/ublkb%d: deleting what was left of it", id)
	             : 0;
}

int ovbd_ublk_available(struct ovbd_error *err)
{
	AUTO_FD control_fd = -1;

	return ublk_control_open(&control_fd, err);
}
