// SPDX-License-Identifier: Apache-2.0
/*
 * Where a disk comes from. The driver keeps a disk whose server has died: one that was started
 * waits for a successor (quiesced), one that was not yet started is of no use and is deleted.
 *
 * How soon the driver notices a death is its own affair, so a disk that still looks alive is looked
 * at again for a while. It is only looked at: a disk that was hung in the driver by a death at the
 * wrong moment (of another server: see ublk_queue.c for ours) looks alive for ever, and whoever
 * gives a command that needs its lock hangs too, killed or not. To ask for a disk's state needs no
 * lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/ublk_impl.h"

#define PATIENCE_MS      3000
#define DEAD_PATIENCE_MS 10000 /* drivers before 6.9 look every 5 s whether a server lives */
#define LOOK_MS          20

static int add(int control_fd, const struct ovbd_ublk_params *p, struct ublk_dev_info *ret,
               struct ovbd_error *err)
{
	const uint32_t id = p->id < 0 ? UBLK_NO_ID : (uint32_t)p->id;
	struct ublk_dev_info info = {
		.nr_hw_queues = UBLK_QUEUES,
		.queue_depth = UBLK_DEPTH,
		.max_io_buf_bytes = UBLK_MAX_IO,
		.dev_id = id,
		.ublksrv_pid = getpid(),
		.flags = UBLK_WANTED,
		.ublksrv_flags = p->tag,
	};
	struct ublk_params params;
	int r = ublk_command(control_fd, UBLK_ADD_DEV, ublk_about_buf(id, &info, sizeof(info)));

	if (r == -EEXIST)
		return ovbd_fail(err, r, "ublk: the id %d is in use (/dev/ublkb%d)", p->id, p->id);
	if (r < 0 && p->id >= 0)
		return ovbd_fail_errno(err, r, "ublk: adding disk %d", p->id);
	if (r < 0)
		return ovbd_fail_errno(err, r, "ublk: adding a disk");
	ublk_params_fill(p, &params);
	r = ublk_command(control_fd, UBLK_SET_PARAMS,
	                 ublk_about_buf(info.dev_id, &params, sizeof(params)));
	if (r < 0) {
		ublk_delete(control_fd, info.dev_id);
		return ovbd_fail_errno(err, r, "/dev/ublkb%" PRIu32 ": setting its parameters",
		                       info.dev_id);
	}
	*ret = info;
	return 0;
}

/* Nothing is changed before it is known to be the disk that is meant; it is quiesced. */
static int check_same(int control_fd, const struct ovbd_ublk_params *p,
                      const struct ublk_dev_info *info, struct ovbd_error *err)
{
	struct ublk_params have = {.len = sizeof(have)};
	int r = ublk_command(control_fd, UBLK_GET_PARAMS,
	                     ublk_about_buf(info->dev_id, &have, sizeof(have)));

	if (r < 0)
		return ovbd_fail_errno(err, r, "/dev/ublkb%d: asking for its parameters", p->id);
	if ((info->flags & UBLK_WANTED) != UBLK_WANTED || info->max_io_buf_bytes > UBLK_MAX_IO ||
	    !ublk_params_match(p, &have))
		return ovbd_fail(err, -ESTALE,
		                 "/dev/ublkb%d is another disk, of %" PRIu64
		                 " bytes; this one would be of %" PRIu64,
		                 p->id, have.basic.dev_sectors << UBLK_SECTOR_SHIFT, p->size);
	return 0;
}

/* -EBUSY: its server lives, or is not dead yet. The disk is not live. */
static int delete_dead(int control_fd, uint32_t id)
{
	char path[OVBD_UBLK_PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "/dev/ublkc%" PRIu32, id);
	fd = open(path, O_RDWR | O_CLOEXEC); /* one at a time can have it open */
	if (fd < 0 && errno == EBUSY)
		return -EBUSY;
	if (fd >= 0)
		close(fd);
	return ublk_delete(control_fd, id);
}

/* One look at the disk p->id. 1: it is claimed; 0: there is none; -EBUSY: look again. */
static int try_claim(int control_fd, const struct ovbd_ublk_params *p, struct ublk_dev_info *ret,
                     struct ovbd_error *err)
{
	const uint32_t id = (uint32_t)p->id;
	int r = ublk_command(control_fd, UBLK_GET_DEV_INFO, ublk_about_buf(id, ret, sizeof(*ret)));

	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return ovbd_fail_errno(err, r, "/dev/ublkb%d", p->id);
	if (ret->ublksrv_flags != p->tag)
		return ovbd_fail(err, -ESTALE, "/dev/ublkb%d is the disk of somebody else", p->id);
	if (ret->state == UBLK_STATE_DEAD) {
		r = delete_dead(control_fd, id);
		if (r == 0 || r == -EBUSY)
			return r;
		return ovbd_fail_errno(err, r, "/dev/ublkb%d: deleting what was left of it", p->id);
	}
	if (ret->state != UBLK_STATE_QUIESCED)
		return -EBUSY;
	r = check_same(control_fd, p, ret, err);
	if (r < 0)
		return r;
	r = ublk_command(control_fd, UBLK_START_USER_RECOVERY, ublk_about(id));
	/* Newer drivers say EINVAL if one who died after this very command has done it already. */
	if (r == 0 || r == -EINVAL)
		return 1;
	return r == -EBUSY ? r : ovbd_fail_errno(err, r, "/dev/ublkb%d: taking it over", p->id);
}

static bool is_server_dead(const struct ublk_dev_info *info)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%" PRId32, info->ublksrv_pid);
	return info->ublksrv_pid > 0 && access(path, F_OK) < 0;
}

/* As try_claim(), with patience. */
static int claim(int control_fd, const struct ovbd_ublk_params *p, struct ublk_dev_info *ret,
                 struct ovbd_error *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	int r = try_claim(control_fd, p, ret, err);

	for (int ms = 0; r == -EBUSY; ms += LOOK_MS) {
		if (ms >= (is_server_dead(ret) ? DEAD_PATIENCE_MS : PATIENCE_MS))
			break;
		nanosleep(&pause, NULL);
		r = try_claim(control_fd, p, ret, err);
	}
	if (r == -EBUSY && is_server_dead(ret))
		return ovbd_fail(err, -EOWNERDEAD,
		                 "/dev/ublkb%d hangs in the kernel: its server, process %" PRId32
		                 ", is dead, and the driver does not let it go",
		                 p->id, ret->ublksrv_pid);
	if (r == -EBUSY)
		return ovbd_fail(err, r, "/dev/ublkb%d is in use: process %" PRId32 " serves it",
		                 p->id, ret->ublksrv_pid);
	return r;
}

int ublk_device_take(int control_fd, const struct ovbd_ublk_params *p, struct ublk_dev_info *ret,
                     bool *ret_recovered, struct ovbd_error *err)
{
	const int r = p->recover && p->id >= 0 ? claim(control_fd, p, ret, err) : 0;

	if (r < 0)
		return r;
	*ret_recovered = r == 1;
	return r == 1 ? 0 : add(control_fd, p, ret, err);
}

int ublk_device_delete(int control_fd, uint32_t id)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	struct ublk_dev_info info;
	int r = -EBUSY;

	for (int ms = 0; r == -EBUSY && ms < DEAD_PATIENCE_MS; ms += LOOK_MS) {
		if (ms > 0)
			nanosleep(&pause, NULL);
		r = ublk_command(control_fd, UBLK_GET_DEV_INFO,
		                 ublk_about_buf(id, &info, sizeof(info)));
		if (r == 0)
			r = info.state == UBLK_STATE_LIVE ? -EBUSY : delete_dead(control_fd, id);
	}
	return r == -ENODEV ? 0 : r;
}
