// SPDX-License-Identifier: Apache-2.0
/*
 * Generic netlink by hand: one family, four messages. The kernel waits for the answer to each event
 * without a time limit, so losing one hangs somebody: hence a receive buffer for more events than a
 * host has disks, and none refused by the kernel because an earlier one found it full (NO_ENOBUFS).
 *
 * An answer is one message, sent on the same socket from whatever thread; what the kernel says of
 * it arrives among the events and is passed over, since there is nobody any more to be told.
 *
 * What a killed listener left unanswered hangs its askers until the kernel module is told otherwise:
 * that is the "block, reset, unblock" at the start.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#define __LINUX_UIO_H /* whose struct iovec is the C library's */
#include <linux/target_core_user.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "daemon/tcmu_impl.h"

#define PARAMETERS   "/sys/module/target_core_user/parameters/"
#define BUFFER_SIZE  (4 << 20)
#define MESSAGE_SIZE 16384
#define HEADER       sizeof(struct nlmsghdr)
#define GENL_HEADER  sizeof(struct genlmsghdr)
#define ATTR_HEADER  sizeof(struct nlattr)
#define ALIGN        UINT64_C(4) /* of messages and of attributes */
#define TYPE_MASK    0x3fff      /* the bits above are flags */

struct ovbd_tcmu_listener {
	int fd;
	uint16_t family;
	uint8_t in[MESSAGE_SIZE];
	size_t nin, at; /* messages in [at, nin) are yet to be read */
};

/* A message being put together. */
struct message {
	uint8_t raw[256];
	size_t n;
};

/* Part of a message that came. */
struct attributes {
	const uint8_t *p;
	size_t n;
};

static void begin(struct message *m, uint16_t family, uint8_t command, uint8_t version)
{
	const struct genlmsghdr g = {.cmd = command, .version = version};
	const struct nlmsghdr h = {.nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST};

	*m = (struct message){.n = HEADER + GENL_HEADER};
	memcpy(m->raw, &h, sizeof(h));
	memcpy(m->raw + HEADER, &g, sizeof(g));
}

static void put(struct message *m, uint16_t type, const void *value, uint16_t len)
{
	const struct nlattr a = {.nla_len = (uint16_t)(ATTR_HEADER + len), .nla_type = type};

	memcpy(m->raw + m->n, &a, sizeof(a));
	memcpy(m->raw + m->n + ATTR_HEADER, value, len);
	m->n += ovbd_align_up(a.nla_len, ALIGN);
}

static int send_message(int fd, struct message *m)
{
	const uint32_t len = (uint32_t)m->n;
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t n;

	memcpy(m->raw + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	do
		n = sendto(fd, m->raw, m->n, 0, (const void *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The next attribute of *a: its type, and its value in *ret. 0: there is no other. */
static unsigned next_attribute(struct attributes *a, struct attributes *ret)
{
	struct nlattr head;

	if (a->n < ATTR_HEADER)
		return 0;
	memcpy(&head, a->p, sizeof(head));
	if (head.nla_len < ATTR_HEADER || head.nla_len > a->n)
		return 0;
	*ret = (struct attributes){.p = a->p + ATTR_HEADER, .n = head.nla_len - ATTR_HEADER};
	a->p += ovbd_min(ovbd_align_up(head.nla_len, ALIGN), a->n);
	a->n -= ovbd_min(ovbd_align_up(head.nla_len, ALIGN), a->n);
	return head.nla_type & TYPE_MASK;
}

static bool find(struct attributes a, unsigned type, struct attributes *ret)
{
	unsigned t;

	while ((t = next_attribute(&a, ret)) != 0)
		if (t == type)
			return true;
	return false;
}

static bool find_number(struct attributes a, unsigned type, void *ret, size_t size)
{
	struct attributes v;

	if (!find(a, type, &v) || v.n < size)
		return false;
	memcpy(ret, v.p, size);
	return true;
}

static bool find_text(struct attributes a, unsigned type, char *ret, size_t size)
{
	struct attributes v;
	size_t n;

	if (!find(a, type, &v))
		return false;
	n = v.n > 0 && v.p[v.n - 1] == '\0' ? v.n - 1 : v.n;
	if (n >= size || memchr(v.p, '\0', n))
		return false;
	memcpy(ret, v.p, n);
	ret[n] = '\0';
	return true;
}

/* The next message from the kernel: 1, its header in *h, and what follows that in *body. 0: none
 * now. */
static int receive(struct ovbd_tcmu_listener *l, int flags, struct nlmsghdr *h,
                   struct attributes *body)
{
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	ssize_t n;

	while (l->nin - l->at < HEADER) {
		n = recvfrom(l->fd, l->in, sizeof(l->in), flags, (void *)&from, &from_len);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n < 0)
			return -errno;
		l->nin = from.nl_pid == 0 ? (size_t)n : 0; /* anybody else is nobody */
		l->at = 0;
	}
	memcpy(h, l->in + l->at, sizeof(*h));
	if (h->nlmsg_len < HEADER || h->nlmsg_len > l->nin - l->at) {
		l->at = l->nin;
		return -EBADMSG;
	}
	*body = (struct attributes){.p = l->in + l->at + HEADER, .n = h->nlmsg_len - HEADER};
	l->at += ovbd_min(ovbd_align_up(h->nlmsg_len, ALIGN), l->nin - l->at);
	return 1;
}

static bool find_group(struct attributes family, uint32_t *ret)
{
	struct attributes groups, group;
	char name[GENL_NAMSIZ];

	if (!find(family, CTRL_ATTR_MCAST_GROUPS, &groups))
		return false;
	while (next_attribute(&groups, &group) != 0)
		if (find_text(group, CTRL_ATTR_MCAST_GRP_NAME, name, sizeof(name)) &&
		    strcmp(name, "config") == 0)
			return find_number(group, CTRL_ATTR_MCAST_GRP_ID, ret, sizeof(*ret));
	return false;
}

/* The numbers of the family and of its group, which the kernel gives anew at each start. */
static int resolve(struct ovbd_tcmu_listener *l, uint32_t *ret_group)
{
	static const char name[] = "TCM-USER";
	struct attributes body;
	struct nlmsghdr h;
	struct message m;
	int32_t code;
	int r;

	begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	put(&m, CTRL_ATTR_FAMILY_NAME, name, sizeof(name));
	r = send_message(l->fd, &m);
	if (r < 0)
		return r;
	r = receive(l, 0, &h, &body);
	if (r < 0)
		return r;
	if (h.nlmsg_type == NLMSG_ERROR && body.n >= sizeof(code)) {
		memcpy(&code, body.p, sizeof(code));
		return code < 0 ? code : -EPROTO;
	}
	if (h.nlmsg_type != GENL_ID_CTRL || body.n < GENL_HEADER)
		return -EPROTO;
	body.p += GENL_HEADER;
	body.n -= GENL_HEADER;
	if (!find_number(body, CTRL_ATTR_FAMILY_ID, &l->family, sizeof(l->family)) ||
	    !find_group(body, ret_group))
		return -EPROTO;
	return 0;
}

static int join(struct ovbd_tcmu_listener *l)
{
	const int size = BUFFER_SIZE, on = 1;
	const uint8_t replies = 1;
	struct message m;
	uint32_t group;
	int r = resolve(l, &group);

	if (r < 0)
		return r;
	if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return -errno;
	if (setsockopt(l->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on)) < 0 ||
	    setsockopt(l->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	begin(&m, l->family, TCMU_CMD_SET_FEATURES, 2);
	put(&m, TCMU_ATTR_SUPP_KERN_CMD_REPLY, &replies, sizeof(replies));
	return send_message(l->fd, &m);
}

static int open_socket(struct ovbd_tcmu_listener *l, struct ovbd_error *err)
{
	const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	int r;

	l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (l->fd < 0 || bind(l->fd, (const void *)&any, sizeof(any)) < 0)
		return ovbd_fail_errno(err, -errno, "a netlink socket");
	r = join(l);
	if (r == -ENOENT)
		return ovbd_fail(err, r, "the kernel has no TCMU: modprobe target_core_user");
	if (r < 0)
		return ovbd_fail_errno(err, r, "TCMU's netlink");
	return 0;
}

int ovbd_tcmu_listen(struct ovbd_tcmu_listener **ret, struct ovbd_error *err)
{
	struct ovbd_tcmu_listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	l->fd = -1;
	r = open_socket(l, err);
	if (r == 0)
		r = ovbd_tcmu_write(PARAMETERS "block_netlink", "1", err);
	if (r == 0) {
		r = ovbd_tcmu_write(PARAMETERS "reset_netlink", "1", err);
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

int ovbd_tcmu_listener_fd(const struct ovbd_tcmu_listener *l)
{
	return l->fd;
}

/* Whether the message is an event that we know, with all that it must have. */
static bool decode_event(struct attributes body, struct ovbd_tcmu_event *ret)
{
	static const enum ovbd_tcmu_event_kind kinds[] = {
		[TCMU_CMD_ADDED_DEVICE] = OVBD_TCMU_ADDED,
		[TCMU_CMD_REMOVED_DEVICE] = OVBD_TCMU_REMOVED,
		[TCMU_CMD_RECONFIG_DEVICE] = OVBD_TCMU_RECONFIGURED,
	};
	char name[3 * OVBD_TCMU_NAME_SIZE];
	uint8_t command;

	if (body.n < GENL_HEADER)
		return false;
	command = body.p[offsetof(struct genlmsghdr, cmd)];
	if (command < TCMU_CMD_ADDED_DEVICE || command > TCMU_CMD_RECONFIG_DEVICE)
		return false;
	*ret = (struct ovbd_tcmu_event){.kind = kinds[command]};
	body.p += GENL_HEADER;
	body.n -= GENL_HEADER;
	ret->has_size = find_number(body, TCMU_ATTR_DEV_SIZE, &ret->size, sizeof(ret->size));
	ret->has_config = find_text(body, TCMU_ATTR_DEV_CFG, ret->config, sizeof(ret->config));
	return find_number(body, TCMU_ATTR_DEVICE_ID, &ret->id, sizeof(ret->id)) &&
	       find_number(body, TCMU_ATTR_MINOR, &ret->minor, sizeof(ret->minor)) &&
	       find_text(body, TCMU_ATTR_DEVICE, name, sizeof(name)) &&
	       ovbd_tcmu_name_parse(name, &ret->name, NULL) == 0;
}

int ovbd_tcmu_next_event(struct ovbd_tcmu_listener *l, struct ovbd_tcmu_event *ret,
                         struct ovbd_error *err)
{
	struct attributes body;
	struct nlmsghdr h;
	int r;

	while ((r = receive(l, MSG_DONTWAIT, &h, &body)) > 0)
		if (h.nlmsg_type == l->family && decode_event(body, ret))
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
	struct message m;
	int r;

	begin(&m, l->family, commands[e->kind], 2);
	put(&m, TCMU_ATTR_CMD_STATUS, &code, sizeof(code));
	put(&m, TCMU_ATTR_DEVICE_ID, &e->id, sizeof(e->id));
	r = send_message(l->fd, &m);
	return r < 0 ? ovbd_fail_errno(err, r, "answering for %s", e->name.device) : 0;
}

void ovbd_tcmu_listener_close(struct ovbd_tcmu_listener *take_l)
{
	if (!take_l)
		return;
	if (take_l->fd >= 0)
		close(take_l->fd);
	free(take_l);
}
