/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SCSI commands of a disk, without a disk: what a command asks is either answered from what is
 * known beforehand, or refused, or a request for the device. Nothing here does I/O, allocates or
 * keeps anything.
 *
 * Formats: SPC-3 (INQUIRY, MODE SENSE and SELECT, sense data) and SBC-3 (the rest).
 */
#ifndef OVBD_DAEMON_SCSI_H
#define OVBD_DAEMON_SCSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/transport.h"

enum {
	OVBD_SCSI_CDB_SIZE_MAX = 16,
	OVBD_SCSI_SENSE_SIZE = 18,
	OVBD_SCSI_ANSWER_SIZE_MAX = 255,
	OVBD_SCSI_PARAMETERS_SIZE_MAX = 4096, /* a block of WRITE SAME */
};

/* SCSI's own numbers. */
enum {
	OVBD_SCSI_GOOD = 0,
	OVBD_SCSI_CHECK_CONDITION = 2,
	OVBD_SCSI_BUSY = 8,
};

struct ovbd_scsi_disk {
	_Atomic uint64_t size; /* bytes; > 0, a multiple of block_size; may become more */
	uint32_t block_size;   /* 512 or 4096 */
	uint32_t max_transfer; /* bytes of one read or write; a multiple of 4096 */
	bool writable;
	const char *serial; /* what tells this device from others; printable ASCII */
};

/* What went wrong: sense key, additional sense code and its qualifier. */
struct ovbd_scsi_sense {
	uint8_t key, asc, ascq;
};

enum ovbd_scsi_kind {
	OVBD_SCSI_ANSWER,  /* done: status GOOD; the initiator reads answer[0 .. nanswer) */
	OVBD_SCSI_REFUSAL, /* done: CHECK CONDITION with sense */
	OVBD_SCSI_REQUEST, /* request is for the device; a READ's or WRITE's iov is the caller's */
};

struct ovbd_scsi_command {
	enum ovbd_scsi_kind kind;
	struct ovbd_scsi_sense sense;
	struct ovbd_request request; /* op, flags, off and len */
	size_t nanswer;
	uint8_t answer[OVBD_SCSI_ANSWER_SIZE_MAX];
};

/* Whether the command is served as if there were nothing new to tell of the disk. */
bool ovbd_scsi_ignores_attention(const uint8_t *cdb);

/* How long a command with this operation code is; 0 if that is not known. */
size_t ovbd_scsi_cdb_size(uint8_t opcode);

/* How much of what the initiator sends with the command has to be known to understand it; 0 for
 * most commands, a WRITE among them. */
size_t ovbd_scsi_parameters_size(const struct ovbd_scsi_disk *d, const uint8_t *cdb, size_t len);

/* cdb is the command, of len bytes or followed by anything; parameters the first nparameters of
 * the bytes sent with it, at most ovbd_scsi_parameters_size(). */
void ovbd_scsi_decode(const struct ovbd_scsi_disk *d, const uint8_t *cdb, size_t len,
                      const uint8_t *parameters, size_t nparameters, struct ovbd_scsi_command *ret);

/* What to say of a request that failed with -errno. */
struct ovbd_scsi_sense ovbd_scsi_sense_of(enum ovbd_request_op op, int status);

/* As the initiator reads it. */
void ovbd_scsi_put_sense(struct ovbd_scsi_sense s, uint8_t raw[OVBD_SCSI_SENSE_SIZE]);

#endif
