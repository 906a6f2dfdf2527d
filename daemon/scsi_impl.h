/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of scsi: the answers that describe the disk (scsi_pages.c), and what all
 * say. */
#ifndef OVBD_DAEMON_SCSI_IMPL_H
#define OVBD_DAEMON_SCSI_IMPL_H

#include "daemon/scsi.h"

/* One command being decoded. */
struct scsi_cdb {
	const struct ovbd_scsi_disk *disk;
	const uint8_t *b; /* as long as the operation code says */
	const uint8_t *parameters;
	size_t nparameters;
};

typedef void scsi_handler(const struct scsi_cdb *c, struct ovbd_scsi_command *ret);

scsi_handler ovbd_scsi_inquiry;
scsi_handler ovbd_scsi_mode_sense6;
scsi_handler ovbd_scsi_mode_sense10;
scsi_handler ovbd_scsi_mode_select6;
scsi_handler ovbd_scsi_mode_select10;

/* ILLEGAL REQUEST: of the command's fields, and of the parameters'. */
#define SCSI_INVALID_FIELD     ((struct ovbd_scsi_sense){0x05, 0x24, 0x00})
#define SCSI_INVALID_PARAMETER ((struct ovbd_scsi_sense){0x05, 0x26, 0x00})
#define SCSI_PARAMETERS_LENGTH ((struct ovbd_scsi_sense){0x05, 0x1a, 0x00})
#define SCSI_NOT_SAVED         ((struct ovbd_scsi_sense){0x05, 0x39, 0x00})

static inline void scsi_refuse(struct ovbd_scsi_command *ret, struct ovbd_scsi_sense sense)
{
	ret->kind = OVBD_SCSI_REFUSAL;
	ret->sense = sense;
}

/* The first len bytes of answer, as far as the initiator has room for them. */
static inline void scsi_answer(struct ovbd_scsi_command *ret, size_t len, size_t room)
{
	ret->kind = OVBD_SCSI_ANSWER;
	ret->nanswer = len < room ? len : room;
}

#endif
