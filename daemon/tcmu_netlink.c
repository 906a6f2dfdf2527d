// SPDX-License-Identifier: Apache-2.0
/*
 * One family, four messages. The kernel waits for the answer to each event without a time limit, so
 * losing one hangs somebody: hence a receive buffer for more events than a
 * host has disks, and none refused by the kernel because an earlier one found it full (NO_ENOBUFS).
 *
 * An answer is one message, sent on the same socket from whatever thread; what the kernel says of
 * it arrives among the events and is passed over, since there is nobody any more to be told.
 *
 * What a killed listener left unanswered hangs its askers until the kernel module is told
 * otherwise: that is the "block, reset, unblock" at the start.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#define __LINUX_UIO_H /* whose struct iovec is the C library's */
#include <linux/target_core_user.h>

#include "base/auto.h"
#include "daemon/fault_point.h"
#include "daemon/genl.h"
#include "base/lock.h"
#include "daemon/tcmu_impl.h"

#define PARAMETERS  "/sys/module/target_core_user/parameters/"
#define BUFFER_SIZE (4 << 20)

struct ovbd_tcmu_listener {
	struct genl g;
	int lock_fd; /* of the parameter that only one may play with */
};

static int join(struct genl *g, uint32_t group)
{
	const int size = BUFFER_SIZE, on = 1;
	const uint8_t replies = 1;
	struct genl_message m;

	if (setsockopt(g->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(g->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return -errno;
	if (setsockopt(g->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on)) < 0 ||
	    setsockopt(g->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	genl_begin(&m, g->family, TCMU_CMD_SET_FEATURES, 2);
	genl_put(&m, TCMU_ATTR_SUPP_KERN_CMD_REPLY, &replies, sizeof(replies));
	return genl_send(g, &m);
}

static int open_socket(struct ovbd_tcmu_listener *l, struct ovbd_error *err)
{
	uint32_t group;
	int r = genl_open(&l->g, "TCM-USER", "config", &group);

	if (r == -ENOENT)
		return ovbd_fail(err, r, "the kernel has no TCMU: modprobe target_core_user");
	if (r == 0)
		r = join(&l->g, group);
	return r < 0 ? ovbd_fail_errno(err, r, "TCMU's netlink") : 0;
}

static int take_lock(struct ovbd_tcmu_listener *l, struct ovbd_error *err)
{
	int r;

	l->lock_fd = open(PARAMETERS "block_netlink", O_RDONLY | O_CLOEXEC);
	if (l->lock_fd < 0)
		return ovbd_fail_errno(err, -errno, PARAMETERS "block_netlink");
	r = ovbd_lock_fd(l->lock_fd);
	if (r == -EBUSY)
		return ovbd_fail(err, r, "TCMU: another ovbdd listens for its disks");
	return r < 0 ? ovbd_fail_errno(err, r, "TCMU: locking " PARAMETERS "block_netlink") : 0;
}

int ovbd_tcmu_listen(struct ovbd_tcmu_listener **ret, struct ovbd_error *err)
{
	struct ovbd_tcmu_listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	l->g.fd = l->lock_fd = -1;
	r = open_socket(l, err);
	if (r == 0)
		r = take_lock(l, err);
	ovbd_fault_point("listen-joined");
	if (r == 0)
		r = ovbd_tcmu_write(PARAMETERS "block_netlink", "1", err);
	ovbd_fault_point("listen-blocked");
	if (r == 0) {
		r = ovbd_tcmu_write(PARAMETERS "reset_netlink", "1", err);
		ovbd_fault_point("listen-reset");
		if (r < 0)
			ovbd_tcmu_write(PARAMETERS "block_netlink", "0", NULL);
	}
	if (r < 0) {
		ovbd_tcmu_listener_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

int ovbd_tcmu_listen_ready(struct ovbd_tcmu_listener *l, struct ovbd_error *err)
{
	(void)l;
	return ovbd_tcmu_write(PARAMETERS "block_netlink", "0", err);
}

int ovbd_tcmu_listen_end(struct ovbd_tcmu_listener *l, struct ovbd_error *err)
{
	(void)l;
	return ovbd_tcmu_write(PARAMETERS "block_netlink", "1", err);
}

int ovbd_tcmu_listener_fd(const struct ovbd_tcmu_listener *l)
{
	return l->g.fd;
}

bool ovbd_tcmu_event_decode(const struct genl_event *e, struct ovbd_tcmu_event *ret)
{
	static const enum ovbd_tcmu_event_kind kinds[] = {
		[TCMU_CMD_ADDED_DEVICE] = OVBD_TCMU_ADDED,
		[TCMU_CMD_REMOVED_DEVICE] = OVBD_TCMU_REMOVED,
		[TCMU_CMD_RECONFIG_DEVICE] = OVBD_TCMU_RECONFIGURED,
	};
	char name[3 * OVBD_TCMU_NAME_SIZE];
	const struct genl_attributes body = e->attributes;

	if (e->command < TCMU_CMD_ADDED_DEVICE || e->command > TCMU_CMD_RECONFIG_DEVICE)
		return false;
	*ret = (struct ovbd_tcmu_event){.kind = kinds[e->command]};
	ret->has_size = genl_find_number(body, TCMU_ATTR_DEV_SIZE, &ret->size, sizeof(ret->size));
	ret->has_config = genl_find_text(body, TCMU_ATTR_DEV_CFG, ret->config, sizeof(ret->config));
	return genl_find_number(body, TCMU_ATTR_DEVICE_ID, &ret->id, sizeof(ret->id)) &&
	       genl_find_number(body, TCMU_ATTR_MINOR, &ret->minor, sizeof(ret->minor)) &&
	       genl_find_text(body, TCMU_ATTR_DEVICE, name, sizeof(name)) &&
	       ovbd_tcmu_name_parse(name, &ret->name, NULL) == 0;
}

int ovbd_tcmu_next_event(struct ovbd_tcmu_listener *l, struct ovbd_tcmu_event *ret,
                         struct ovbd_error *err)
{
	struct genl_event e;
	int r;

	while ((r = genl_receive(&l->g, MSG_DONTWAIT, &e)) > 0)
		if (e.type == l->g.family && ovbd_tcmu_event_decode(&e, ret))
			return 1;
	return r < 0 ? ovbd_fail_errno(err, r, "TCMU's netlink") : 0;
}

int ovbd_tcmu_reply(struct ovbd_tcmu_listener *l, const struct ovbd_tcmu_event *e, int status,
                    struct ovbd_error *err)
{
	static const uint8_t commands[] = {
		[OVBD_TCMU_ADDED] = TCMU_CMD_ADDED_DEVICE_DONE,
		[OVBD_TCMU_REMOVED] = TCMU_CMD_REMOVED_DEVICE_DONE,
		[OVBD_TCMU_RECONFIGURED] = TCMU_CMD_RECONFIG_DEVICE_DONE,
	};
	const int32_t code = status;
	struct genl_message m;
	int r;

	genl_begin(&m, l->g.family, commands[e->kind], 2);
	genl_put(&m, TCMU_ATTR_CMD_STATUS, &code, sizeof(code));
	genl_put(&m, TCMU_ATTR_DEVICE_ID, &e->id, sizeof(e->id));
	r = genl_send(&l->g, &m);
	return r < 0 ? ovbd_fail_errno(err, r, "answering for %s", e->name.device) : 0;
}

void ovbd_tcmu_listener_close(struct ovbd_tcmu_listener *take_l)
{
	if (!take_l)
		return;
	genl_close(&take_l->g);
	if (take_l->lock_fd >= 0)
		close(take_l->lock_fd);
	free(take_l);
}
