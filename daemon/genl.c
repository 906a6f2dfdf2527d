// SPDX-License-Identifier: Apache-2.0
/*
 * By hand, as it is little: a header of netlink, one of generic netlink, then attributes, each of a
 * type, a length and a value, padded to 4 bytes; an attribute may hold attributes. Nothing of what
 * comes is trusted to have the lengths it says.
 */
#include "daemon/genl.h"

#include <assert.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/bytes.h"

#define HEADER      sizeof(struct nlmsghdr)
#define GENL_HEADER sizeof(struct genlmsghdr)
#define ATTR_HEADER sizeof(struct nlattr)
#define ALIGN       UINT64_C(4) /* of messages and of attributes */
#define TYPE_MASK   0x3fff      /* the bits above are flags */

void genl_begin(struct genl_message *m, uint16_t family, uint8_t command, uint8_t version)
{
	const struct genlmsghdr g = {.cmd = command, .version = version};
	const struct nlmsghdr h = {.nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST};

	*m = (struct genl_message){.n = HEADER + GENL_HEADER};
	memcpy(m->raw, &h, sizeof(h));
	memcpy(m->raw + HEADER, &g, sizeof(g));
}

void genl_put(struct genl_message *m, uint16_t type, const void *value, size_t len)
{
	const struct nlattr a = {.nla_len = (uint16_t)(ATTR_HEADER + len), .nla_type = type};

	assert(len <= sizeof(m->raw) - m->n - ATTR_HEADER - ALIGN);
	memcpy(m->raw + m->n, &a, sizeof(a));
	if (len > 0)
		memcpy(m->raw + m->n + ATTR_HEADER, value, len);
	m->n += ovbd_align_up(a.nla_len, ALIGN);
}

size_t genl_nest(struct genl_message *m, uint16_t type)
{
	const size_t at = m->n;

	genl_put(m, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void genl_nest_end(struct genl_message *m, size_t nest)
{
	const uint16_t len = (uint16_t)(m->n - nest);

	memcpy(m->raw + nest + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

static int send_flagged(const struct genl *g, struct genl_message *m, uint16_t flags)
{
	const uint32_t len = (uint32_t)m->n;
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t n;

	memcpy(m->raw + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	memcpy(m->raw + offsetof(struct nlmsghdr, nlmsg_flags), &flags, sizeof(flags));
	do
		n = sendto(g->fd, m->raw, m->n, 0, (const void *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int genl_send(const struct genl *g, struct genl_message *m)
{
	return send_flagged(g, m, NLM_F_REQUEST);
}

unsigned genl_next(struct genl_attributes *a, struct genl_attributes *ret)
{
	struct nlattr head;
	size_t whole;

	if (a->n < ATTR_HEADER)
		return 0;
	memcpy(&head, a->p, sizeof(head));
	if (head.nla_len < ATTR_HEADER || head.nla_len > a->n)
		return 0;
	*ret = (struct genl_attributes){.p = a->p + ATTR_HEADER, .n = head.nla_len - ATTR_HEADER};
	whole = ovbd_min(ovbd_align_up(head.nla_len, ALIGN), a->n);
	a->p += whole;
	a->n -= whole;
	return head.nla_type & TYPE_MASK;
}

bool genl_find(struct genl_attributes a, unsigned type, struct genl_attributes *ret)
{
	unsigned t;

	while ((t = genl_next(&a, ret)) != 0)
		if (t == type)
			return true;
	return false;
}

bool genl_find_number(struct genl_attributes a, unsigned type, void *ret, size_t size)
{
	struct genl_attributes v;

	if (!genl_find(a, type, &v) || v.n < size)
		return false;
	memcpy(ret, v.p, size);
	return true;
}

bool genl_find_text(struct genl_attributes a, unsigned type, char *ret, size_t size)
{
	struct genl_attributes v;
	size_t n;

	if (!genl_find(a, type, &v))
		return false;
	n = v.n > 0 && v.p[v.n - 1] == '\0' ? v.n - 1 : v.n;
	if (n >= size || memchr(v.p, '\0', n))
		return false;
	memcpy(ret, v.p, n);
	ret[n] = '\0';
	return true;
}

/* What follows netlink's own header is the family's header and the attributes, or a code. */
static void decode(const struct nlmsghdr *h, const uint8_t *body, size_t n, struct genl_event *ret)
{
	const bool own = h->nlmsg_type < NLMSG_MIN_TYPE || n < GENL_HEADER;
	const size_t head = own ? 0 : GENL_HEADER;

	*ret = (struct genl_event){
		.type = h->nlmsg_type,
		.command = own ? 0 : body[offsetof(struct genlmsghdr, cmd)],
		.attributes = {.p = body + head, .n = n - head},
	};
}

int genl_receive(struct genl *g, int flags, struct genl_event *ret)
{
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	struct nlmsghdr h;
	ssize_t n;

	while (g->nin - g->at < HEADER) {
		n = recvfrom(g->fd, g->in, sizeof(g->in), flags, (void *)&from, &from_len);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n < 0)
			return -errno;
		g->nin = from.nl_pid == 0 ? (size_t)n : 0; /* anybody else is nobody */
		g->at = 0;
	}
	memcpy(&h, g->in + g->at, sizeof(h));
	if (h.nlmsg_len < HEADER || h.nlmsg_len > g->nin - g->at) {
		g->at = g->nin;
		return -EBADMSG;
	}
	decode(&h, g->in + g->at + HEADER, h.nlmsg_len - HEADER, ret);
	g->at += ovbd_min(ovbd_align_up(h.nlmsg_len, ALIGN), g->nin - g->at);
	return 1;
}

int genl_ask(struct genl *g, struct genl_message *m, struct genl_attributes *ret)
{
	struct genl_event e;
	int32_t code;
	int r = send_flagged(g, m, NLM_F_REQUEST | NLM_F_ACK);

	if (ret)
		*ret = (struct genl_attributes){0};
	while (r >= 0) {
		r = genl_receive(g, 0, &e);
		if (r < 0)
			break;
		if (e.type == NLMSG_ERROR) {
			if (e.attributes.n < sizeof(code))
				return -EPROTO;
			memcpy(&code, e.attributes.p, sizeof(code));
			return code;
		}
		if (ret && e.attributes.n <= sizeof(m->raw)) {
			memcpy(m->raw, e.attributes.p, e.attributes.n);
			*ret = (struct genl_attributes){.p = m->raw, .n = e.attributes.n};
		}
	}
	return r;
}

static bool find_group(struct genl_attributes family, const char *wanted, uint32_t *ret)
{
	struct genl_attributes groups, group;
	char name[GENL_NAMSIZ];

	if (!genl_find(family, CTRL_ATTR_MCAST_GROUPS, &groups))
		return false;
	while (genl_next(&groups, &group) != 0)
		if (genl_find_text(group, CTRL_ATTR_MCAST_GRP_NAME, name, sizeof(name)) &&
		    strcmp(name, wanted) == 0)
			return genl_find_number(group, CTRL_ATTR_MCAST_GRP_ID, ret, sizeof(*ret));
	return false;
}

/* The numbers of the family and of its group, which the kernel gives anew at each start. */
static int resolve(struct genl *g, const char *family, const char *group, uint32_t *ret_group)
{
	struct genl_message m;
	struct genl_event e;
	int32_t code;
	int r;

	genl_begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	genl_put(&m, CTRL_ATTR_FAMILY_NAME, family, strlen(family) + 1);
	r = genl_send(g, &m);
	if (r == 0)
		r = genl_receive(g, 0, &e);
	if (r < 0)
		return r;
	if (e.type == NLMSG_ERROR && e.attributes.n >= sizeof(code)) {
		memcpy(&code, e.attributes.p, sizeof(code));
		return code < 0 ? code : -EPROTO;
	}
	if (e.type != GENL_ID_CTRL ||
	    !genl_find_number(e.attributes, CTRL_ATTR_FAMILY_ID, &g->family, sizeof(g->family)) ||
	    (group && !find_group(e.attributes, group, ret_group)))
		return -EPROTO;
	return 0;
}

int genl_open(struct genl *g, const char *family, const char *group, uint32_t *ret_group)
{
	const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	int r = 0;

	*g = (struct genl){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)};
	if (g->fd < 0)
		return -errno;
	if (bind(g->fd, (const void *)&any, sizeof(any)) < 0)
		r = -errno;
	if (r == 0)
		r = resolve(g, family, group, ret_group);
	if (r < 0)
		genl_close(g);
	return r;
}

void genl_close(struct genl *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}
