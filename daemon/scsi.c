// SPDX-License-Identifier: Apache-2.0
/*
 * A table of the operation codes that a disk knows, each with the function that decodes it. A
 * command reaches its function only when it is as long as its code says, so these read its fields
 * without further ado; every range they form is checked against the disk.
 *
 * Read-only disks know no command that writes: they refuse those with DATA PROTECT, after having
 * checked them, and do not claim to unmap.
 *
 * Deliberately absent: protection information, long reads, reservations (the kernel's target keeps
 * them), and a WRITE SAME of anything but zeros.
 */
#include "daemon/scsi.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/device.h"
#include "daemon/scsi_impl.h"

#define BAD_OPCODE      ((struct ovbd_scsi_sense){0x05, 0x20, 0x00})
#define OUT_OF_RANGE    ((struct ovbd_scsi_sense){0x05, 0x21, 0x00})
#define WRITE_PROTECTED ((struct ovbd_scsi_sense){0x07, 0x27, 0x00})

enum {
	UNMAP_HEADER_SIZE = 8,
	UNMAP_DESCRIPTOR_SIZE = 16,
	PROTECT = 0xe0, /* RDPROTECT and WRPROTECT */
	FUA = 0x08,
};

/* The request [lba, lba + n) blocks, or a refusal; n = 0 is a success without a request. */
static void put_request(const struct scsi_cdb *c, enum ovbd_request_op op, uint64_t lba, uint64_t n,
                        struct ovbd_scsi_command *ret)
{
	const struct ovbd_scsi_disk *d = c->disk;
	struct ovbd_request *rq = &ret->request;

	if (!ovbd_within(lba, n, d->size / d->block_size)) {
		scsi_refuse(ret, OUT_OF_RANGE);
	} else if (op != OVBD_REQUEST_READ && !d->writable) {
		scsi_refuse(ret, WRITE_PROTECTED);
	} else if (n == 0) {
		scsi_answer(ret, 0, 0);
	} else {
		ret->kind = OVBD_SCSI_REQUEST;
		rq->op = op;
		rq->off = lba * d->block_size;
		rq->len = n * d->block_size;
	}
}

static void transfer(const struct scsi_cdb *c, enum ovbd_request_op op, uint64_t lba, uint32_t n,
                     struct ovbd_scsi_command *ret)
{
	const uint8_t flags = ovbd_scsi_cdb_size(c->b[0]) == 6 ? 0 : c->b[1];

	if ((flags & PROTECT) != 0 || n > c->disk->max_transfer / c->disk->block_size) {
		scsi_refuse(ret, SCSI_INVALID_FIELD);
		return;
	}
	if (op == OVBD_REQUEST_WRITE && (flags & FUA) != 0)
		ret->request.flags = OVBD_WRITE_FUA;
	put_request(c, op, lba, n, ret);
}

/* READ and WRITE have the same fields; they differ in bit 1 of the code. */
static enum ovbd_request_op transfer_op(const struct scsi_cdb *c)
{
	return (c->b[0] & 2) != 0 ? OVBD_REQUEST_WRITE : OVBD_REQUEST_READ;
}

static void transfer6(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	const uint32_t lba = ovbd_get_be32(c->b) & 0x1fffff;

	transfer(c, transfer_op(c), lba, c->b[4] != 0 ? c->b[4] : 256, ret);
}

static void transfer10(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	transfer(c, transfer_op(c), ovbd_get_be32(c->b + 2), ovbd_get_be16(c->b + 7), ret);
}

static void transfer12(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	transfer(c, transfer_op(c), ovbd_get_be32(c->b + 2), ovbd_get_be32(c->b + 6), ret);
}

static void transfer16(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	transfer(c, transfer_op(c), ovbd_get_be64(c->b + 2), ovbd_get_be32(c->b + 10), ret);
}

static void flush(const struct scsi_cdb *c, uint64_t lba, uint32_t n, struct ovbd_scsi_command *ret)
{
	if (!ovbd_within(lba, n, c->disk->size / c->disk->block_size)) {
		scsi_refuse(ret, OUT_OF_RANGE);
		return;
	}
	ret->kind = OVBD_SCSI_REQUEST;
	ret->request.op = OVBD_REQUEST_FLUSH; /* of everything, whatever the range */
}

static void synchronize10(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	flush(c, ovbd_get_be32(c->b + 2), ovbd_get_be16(c->b + 7), ret);
}

static void synchronize16(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	flush(c, ovbd_get_be64(c->b + 2), ovbd_get_be32(c->b + 10), ret);
}

static void write_same(const struct scsi_cdb *c, uint64_t lba, uint32_t n,
                       struct ovbd_scsi_command *ret)
{
	enum { ANCHOR = 0x10, UNMAP = 0x08, PBDATA = 0x04, LBDATA = 0x02, NDOB = 0x01 };
	const uint8_t flags = c->b[1];
	const bool no_data = c->b[0] == 0x93 && (flags & NDOB) != 0;

	if ((flags & (PROTECT | ANCHOR | PBDATA | LBDATA)) != 0 || n == 0) {
		scsi_refuse(ret,
		            SCSI_INVALID_FIELD); /* n = 0, to the end: the limits say no (WSNZ) */
		return;
	}
	if (!no_data && c->nparameters < c->disk->block_size) {
		scsi_refuse(ret, SCSI_PARAMETERS_LENGTH);
		return;
	}
	if (!no_data && !ovbd_is_zero(c->parameters, c->disk->block_size)) {
		scsi_refuse(ret, SCSI_INVALID_PARAMETER);
		return;
	}
	ret->request.flags = (flags & UNMAP) != 0 ? 0 : OVBD_WRITE_ALLOC;
	put_request(c, OVBD_REQUEST_WRITE_ZEROES, lba, n, ret);
}

static void write_same10(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	write_same(c, ovbd_get_be32(c->b + 2), ovbd_get_be16(c->b + 7), ret);
}

static void write_same16(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	write_same(c, ovbd_get_be64(c->b + 2), ovbd_get_be32(c->b + 10), ret);
}

/* One range: the limits allow no more. */
static void unmap(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	const size_t claimed = ovbd_get_be16(c->b + 7);
	const uint8_t *p = c->parameters;

	if ((c->b[1] & 1) != 0) { /* ANCHOR */
		scsi_refuse(ret, SCSI_INVALID_FIELD);
	} else if (claimed == 0) {
		put_request(c, OVBD_REQUEST_DISCARD, 0, 0, ret);
	} else if (c->nparameters < UNMAP_HEADER_SIZE) {
		scsi_refuse(ret, SCSI_PARAMETERS_LENGTH);
	} else if (ovbd_get_be16(p + 2) < UNMAP_DESCRIPTOR_SIZE) {
		put_request(c, OVBD_REQUEST_DISCARD, 0, 0, ret);
	} else if (ovbd_get_be16(p + 2) >= 2 * UNMAP_DESCRIPTOR_SIZE) {
		scsi_refuse(ret, SCSI_INVALID_PARAMETER);
	} else if (c->nparameters < UNMAP_HEADER_SIZE + UNMAP_DESCRIPTOR_SIZE) {
		scsi_refuse(ret, SCSI_PARAMETERS_LENGTH);
	} else {
		p += UNMAP_HEADER_SIZE;
		put_request(c, OVBD_REQUEST_DISCARD, ovbd_get_be64(p), ovbd_get_be32(p + 8), ret);
	}
}

/* Nothing to do, and nothing to say: the disk is always ready. */
static void succeed(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	(void)c;
	scsi_answer(ret, 0, 0);
}

static void request_sense(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	if ((c->b[1] & 1) != 0) { /* DESC */
		scsi_refuse(ret, SCSI_INVALID_FIELD);
		return;
	}
	ovbd_scsi_put_sense((struct ovbd_scsi_sense){0}, ret->answer);
	scsi_answer(ret, OVBD_SCSI_SENSE_SIZE, c->b[4]);
}

static void read_capacity10(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	const uint64_t last = c->disk->size / c->disk->block_size - 1;

	ovbd_put_be32(ret->answer, (uint32_t)ovbd_min(last, UINT32_MAX));
	ovbd_put_be32(ret->answer + 4, c->disk->block_size);
	scsi_answer(ret, 8, 8);
}

static void read_capacity16(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	enum { READ_CAPACITY = 0x10, LBPME = 0x80 };
	const struct ovbd_scsi_disk *d = c->disk;
	const unsigned blocks_per_page = 4096 / d->block_size;

	if ((c->b[1] & 0x1f) != READ_CAPACITY) {
		scsi_refuse(ret, SCSI_INVALID_FIELD);
		return;
	}
	ovbd_put_be64(ret->answer, d->size / d->block_size - 1);
	ovbd_put_be32(ret->answer + 8, d->block_size);
	ret->answer[13] = (uint8_t)__builtin_ctz(blocks_per_page); /* physical blocks of 4 KiB */
	ret->answer[14] = d->writable ? LBPME : 0;
	scsi_answer(ret, 32, ovbd_get_be32(c->b + 10));
}

static void report_luns(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	enum { WELL_KNOWN_ONLY = 1, SELECT_MAX = 2 };
	const size_t len = c->b[2] == WELL_KNOWN_ONLY ? 0 : 8; /* LUN 0 is eight zeros */

	if (c->b[2] > SELECT_MAX || ovbd_get_be32(c->b + 6) < 16) {
		scsi_refuse(ret, SCSI_INVALID_FIELD);
		return;
	}
	ovbd_put_be32(ret->answer, (uint32_t)len);
	scsi_answer(ret, 8 + len, ovbd_get_be32(c->b + 6));
}

/* By operation code; NULL where none is known. */
static scsi_handler *const handlers[256] = {
	[0x00] = succeed, /* TEST UNIT READY */
	[0x03] = request_sense,
	[0x08] = transfer6, /* READ */
	[0x0a] = transfer6, /* WRITE */
	[0x12] = ovbd_scsi_inquiry,
	[0x15] = ovbd_scsi_mode_select6,
	[0x1a] = ovbd_scsi_mode_sense6,
	[0x1b] = succeed, /* START STOP UNIT */
	[0x25] = read_capacity10,
	[0x28] = transfer10,
	[0x2a] = transfer10,
	[0x35] = synchronize10,
	[0x41] = write_same10,
	[0x42] = unmap,
	[0x55] = ovbd_scsi_mode_select10,
	[0x5a] = ovbd_scsi_mode_sense10,
	[0x88] = transfer16,
	[0x8a] = transfer16,
	[0x91] = synchronize16,
	[0x93] = write_same16,
	[0x9e] = read_capacity16, /* SERVICE ACTION IN */
	[0xa0] = report_luns,
	[0xa8] = transfer12,
	[0xaa] = transfer12,
};

bool ovbd_scsi_ignores_attention(const uint8_t *cdb)
{
	/* REQUEST SENSE, INQUIRY, REPORT LUNS */
	return cdb[0] == 0x03 || cdb[0] == 0x12 || cdb[0] == 0xa0;
}

size_t ovbd_scsi_cdb_size(uint8_t opcode)
{
	static const uint8_t by_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};

	return by_group[opcode >> 5];
}

size_t ovbd_scsi_parameters_size(const struct ovbd_scsi_disk *d, const uint8_t *cdb, size_t len)
{
	if (len == 0 || ovbd_scsi_cdb_size(cdb[0]) == 0 || len < ovbd_scsi_cdb_size(cdb[0]))
		return 0;
	switch (cdb[0]) {
	case 0x15:
		return cdb[4];
	case 0x42:
	case 0x55:
		return ovbd_min(ovbd_get_be16(cdb + 7), OVBD_SCSI_PARAMETERS_SIZE_MAX);
	case 0x41:
	case 0x93:
		return d->block_size;
	}
	return 0;
}

void ovbd_scsi_decode(const struct ovbd_scsi_disk *d, const uint8_t *cdb, size_t len,
                      const uint8_t *parameters, size_t nparameters, struct ovbd_scsi_command *ret)
{
	const struct scsi_cdb c = {.disk = d,
	                           .b = cdb,
	                           .parameters = parameters,
	                           .nparameters = nparameters};
	const size_t needed = len > 0 ? ovbd_scsi_cdb_size(cdb[0]) : 0;

	*ret = (struct ovbd_scsi_command){.kind = OVBD_SCSI_REFUSAL};
	if (needed == 0 || len < needed || !handlers[cdb[0]])
		scsi_refuse(ret, BAD_OPCODE);
	else
		handlers[cdb[0]](&c, ret);
}

struct ovbd_scsi_sense ovbd_scsi_sense_of(enum ovbd_request_op op, int status)
{
	switch (-status) {
	case EROFS:
		return WRITE_PROTECTED;
	case ENOSPC:
	case EDQUOT:
		return (struct ovbd_scsi_sense){0x07, 0x27, 0x07}; /* space allocation failed */
	case EBADMSG:
		return (struct ovbd_scsi_sense){0x03, 0x10, 0x00}; /* CRC error */
	case ETIMEDOUT:
	case EAGAIN:
		return (struct ovbd_scsi_sense){0x04, 0x08, 0x01}; /* communication time-out */
	case ENOMEM:
		return (struct ovbd_scsi_sense){0x0b, 0x55, 0x00}; /* system resource failure */
	}
	if (op == OVBD_REQUEST_READ)
		return (struct ovbd_scsi_sense){0x03, 0x11, 0x00}; /* unrecovered read error */
	return (struct ovbd_scsi_sense){0x03, 0x0c, 0x00};         /* write error */
}

void ovbd_scsi_put_sense(struct ovbd_scsi_sense s, uint8_t raw[OVBD_SCSI_SENSE_SIZE])
{
	memset(raw, 0, OVBD_SCSI_SENSE_SIZE);
	raw[0] = 0x70; /* current, fixed format */
	raw[2] = s.key;
	raw[7] = OVBD_SCSI_SENSE_SIZE - 8;
	raw[12] = s.asc;
	raw[13] = s.ascq;
}
