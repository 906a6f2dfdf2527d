/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of a TCMU disk: memory shared with the kernel. No system calls here; the caller tells
 * the kernel of completions, and sees to it that one thread at a time is in these functions.
 */
#ifndef OVBD_DAEMON_TCMU_RING_H
#define OVBD_DAEMON_TCMU_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "daemon/scsi.h"

struct tcmu_ring {
	uint8_t *map; /* the whole mapping; what the kernel calls offsets is relative to it */
	uint64_t map_size;
	uint64_t commands;            /* where the ring of entries begins */
	uint32_t commands_size;       /* and its size */
	const _Atomic uint32_t *head; /* the kernel's: where its next entry will be */
	_Atomic uint32_t *tail;       /* ours: entries before are answered */
	uint32_t at;                  /* entries before have been taken */
};

/* A command as it was in the ring, whose entry is reused before it is answered. */
struct tcmu_command {
	uint16_t id;
	uint8_t cdb[OVBD_SCSI_CDB_SIZE_MAX];
	size_t cdb_len;
	struct iovec *iov; /* room for iov_max pieces, given by the caller */
	unsigned niov, iov_max;
};

/* -EPROTO if map holds no ring that we understand. */
int ovbd_tcmu_ring_open(void *map, uint64_t map_size, struct tcmu_ring *ret,
                        struct ovbd_error *err);

/* 1: *c is a command. 0: there is none. -E2BIG: *c is one with more pieces than there is room for,
 * or pieces outside of the mapping; to be answered too. -EPROTO: the ring is broken. */
int ovbd_tcmu_ring_take(struct tcmu_ring *r, struct tcmu_command *c, struct ovbd_error *err);

/* Answers a command that was taken, in any order. sense may be NULL for GOOD. */
void ovbd_tcmu_ring_complete(struct tcmu_ring *r, uint16_t id, uint8_t scsi_status,
                             const struct ovbd_scsi_sense *sense);

#endif
