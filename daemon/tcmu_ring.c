// SPDX-License-Identifier: Apache-2.0
/*
 * Entries lie in the ring in the order in which the kernel sent them:
 *
 *     tail             at              head
 *      | taken, not yet | not yet taken |
 *        answered
 *
 * An answer goes into the entry at tail, whosever that was, under the id of the command that it
 * answers (the kernel's out-of-order completion); so there are as many entries between tail and at
 * as there are commands being worked on, but not theirs: a command is copied when it is taken.
 * Hence a ring with unanswered entries cannot be taken over by another process as it is.
 *
 * Entries that are no commands (padding up to the ring's end, notes of aborted tasks) need no
 * answer: tail is moved past them as soon as it gets there.
 *
 * The kernel is trusted not to be malicious, but not to be right: all offsets are checked.
 */
#include "daemon/tcmu_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#define __LINUX_UIO_H /* whose struct iovec is the C library's */
#include <linux/target_core_user.h>

#include "base/bytes.h"

static uint32_t get_len_op(const struct tcmu_ring *r, uint32_t at)
{
	uint32_t v;

	memcpy(&v, r->map + r->commands + at, sizeof(v));
	return v;
}

static uint32_t after(const struct tcmu_ring *r, uint32_t at)
{
	return (uint32_t)(((uint64_t)at + tcmu_hdr_get_len(get_len_op(r, at))) % r->commands_size);
}

/* Only taken entries are passed, whose lengths have been checked. */
static void skip_at_tail(struct tcmu_ring *r)
{
	uint32_t tail = atomic_load_explicit(r->tail, memory_order_relaxed);

	while (tail != r->at && tcmu_hdr_get_op(get_len_op(r, tail)) != TCMU_OP_CMD)
		tail = after(r, tail);
	atomic_store_explicit(r->tail, tail, memory_order_release);
}

int ovbd_tcmu_ring_open(void *map, uint64_t map_size, struct tcmu_ring *ret, struct ovbd_error *err)
{
	struct tcmu_ring r = {.map = map, .map_size = map_size};
	struct tcmu_mailbox m;

	if (map_size < sizeof(m))
		return ovbd_fail(err, -EPROTO, "ring of %llu bytes", (unsigned long long)map_size);
	memcpy(&m, map, sizeof(m));
	if (m.version != TCMU_MAILBOX_VERSION)
		return ovbd_fail(err, -EPROTO, "ring of version %u, not %u", (unsigned)m.version,
		                 TCMU_MAILBOX_VERSION);
	if ((m.flags & TCMU_MAILBOX_FLAG_CAP_OOOC) == 0)
		return ovbd_fail(err, -EPROTO, "ring without out-of-order completion (flags %#x)",
		                 (unsigned)m.flags);
	if (m.cmdr_size == 0 || m.cmdr_off < sizeof(m) ||
	    !ovbd_within(m.cmdr_off, m.cmdr_size, map_size))
		return ovbd_fail(err, -EPROTO, "ring at %u, %u bytes, in a map of %llu", m.cmdr_off,
		                 m.cmdr_size, (unsigned long long)map_size);
	r.commands = m.cmdr_off;
	r.commands_size = m.cmdr_size;
	r.head = (void *)(r.map + offsetof(struct tcmu_mailbox, cmd_head));
	r.tail = (void *)(r.map + offsetof(struct tcmu_mailbox, cmd_tail));
	r.at = m.cmd_tail;
	if (r.at >= r.commands_size || r.at % TCMU_OP_ALIGN_SIZE != 0)
		return ovbd_fail(err, -EPROTO, "ring with its tail at %u", r.at);
	*ret = r;
	return 0;
}

/* The pieces, as memory. -E2BIG: too many, or not all within the mapping. */
static int take_pieces(const struct tcmu_ring *r, uint32_t at, uint32_t len, uint32_t n,
                       struct tcmu_command *c)
{
	const size_t begin = offsetof(struct tcmu_cmd_entry, req.iov);
	const uint8_t *p = r->map + r->commands + at + begin;

	if (n > c->iov_max || n > (len - begin) / sizeof(struct iovec))
		return -E2BIG;
	for (c->niov = 0; c->niov < n; c->niov++) {
		struct iovec v;

		memcpy(&v, p + c->niov * sizeof(v), sizeof(v));
		if (!ovbd_within((uintptr_t)v.iov_base, v.iov_len, r->map_size))
			return -E2BIG;
		v.iov_base = r->map + (uintptr_t)v.iov_base;
		c->iov[c->niov] = v;
	}
	return 1;
}

static int take_command(const struct tcmu_ring *r, uint32_t at, uint32_t len,
                        struct tcmu_command *c)
{
	struct tcmu_cmd_entry e;
	uint64_t cdb;

	memcpy(&e, r->map + r->commands + at, sizeof(e));
	cdb = e.req.cdb_off;
	c->id = e.hdr.cmd_id;
	c->niov = 0;
	c->cdb_len = cdb < r->map_size ? (size_t)ovbd_min(sizeof(c->cdb), r->map_size - cdb) : 0;
	memcpy(c->cdb, r->map + (c->cdb_len > 0 ? cdb : 0), c->cdb_len);
	return take_pieces(r, at, len, e.req.iov_cnt, c);
}

int ovbd_tcmu_ring_take(struct tcmu_ring *r, struct tcmu_command *c, struct ovbd_error *err)
{
	const uint32_t head = atomic_load_explicit(r->head, memory_order_acquire);
	int taken = 0;

	while (taken == 0 && r->at != head) {
		const uint32_t at = r->at, len_op = get_len_op(r, at);
		const uint32_t len = tcmu_hdr_get_len(len_op);
		const bool is_command = tcmu_hdr_get_op(len_op) == TCMU_OP_CMD;
		const uint32_t len_min = is_command ? sizeof(struct tcmu_cmd_entry)
		                                    : sizeof(struct tcmu_cmd_entry_hdr);

		if (len < len_min || !ovbd_within(at, len, r->commands_size))
			return ovbd_fail(err, -EPROTO, "ring entry at %u: %u bytes, operation %u",
			                 at, len, (unsigned)tcmu_hdr_get_op(len_op));
		if (is_command)
			taken = take_command(r, at, len, c);
		r->at = after(r, at);
	}
	skip_at_tail(r);
	return taken;
}

void ovbd_tcmu_ring_complete(struct tcmu_ring *r, uint16_t id, uint8_t scsi_status,
                             const struct ovbd_scsi_sense *sense)
{
	const uint32_t tail = atomic_load_explicit(r->tail, memory_order_relaxed);
	uint8_t *p = r->map + r->commands + tail;
	struct tcmu_cmd_entry e;

	memcpy(&e, p, sizeof(e));
	e.hdr.cmd_id = id;
	e.hdr.uflags = 0;
	memset(&e.rsp, 0, sizeof(e.rsp));
	e.rsp.scsi_status = scsi_status;
	if (sense) {
		uint8_t raw[OVBD_SCSI_SENSE_SIZE];

		ovbd_scsi_put_sense(*sense, raw);
		memcpy(e.rsp.sense_buffer, raw, sizeof(raw));
	}
	memcpy(p, &e, sizeof(e));
	atomic_store_explicit(r->tail, after(r, tail), memory_order_release);
	skip_at_tail(r);
}
