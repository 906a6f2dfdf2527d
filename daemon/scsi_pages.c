// SPDX-License-Identifier: Apache-2.0
/*
 * What a disk says of itself: INQUIRY with its vital product data, and the mode pages. Vendor and
 * product are those that other servers of this kernel interface give, since rules for them are part
 * of many hosts' configuration (multipath, udev).
 *
 * No mode can be changed: MODE SELECT accepts what is so already.
 */
#include <string.h>

#include "base/bytes.h"
#include "daemon/scsi_impl.h"

enum {
	VPD_HEADER_SIZE = 4,
	SERIAL_MAX = 64,
	LIMITS_SIZE = 0x3c,
	MODE_PAGE_MAX = 20,
	PROVISIONING = 0xb2,
};

#define VENDOR    "LIO-ORG " /* padded to the fields' sizes, as all names are */
#define PRODUCT   "TCMU device     "
#define REVISION  "0002"
#define UNMAP_MAX (UINT32_C(1) << 30) /* bytes of one command: some milliseconds of work */

static size_t put_text(uint8_t *p, const char *s, size_t max)
{
	const size_t n = strnlen(s, max);

	memcpy(p, s, n);
	return n;
}

static void inquiry_standard(struct ovbd_scsi_command *ret, size_t room)
{
	enum { SIZE = 36, SPC3 = 5, FORMAT = 2, COMMAND_QUEUE = 2 };
	uint8_t *p = ret->answer;

	p[2] = SPC3;
	p[3] = FORMAT;
	p[4] = SIZE - 5;
	p[7] = COMMAND_QUEUE;
	memcpy(p + 8, VENDOR, 8);
	memcpy(p + 16, PRODUCT, 16);
	memcpy(p + 32, REVISION, 4);
	scsi_answer(ret, SIZE, room);
}

/* A page costs whoever finds the disk three commands; this one says nothing of a read-only disk. */
static bool has_page(const struct ovbd_scsi_disk *d, uint8_t code)
{
	return code != PROVISIONING || d->writable;
}

/* Each page function writes what follows the header, and returns its length. */

static size_t page_supported(const struct ovbd_scsi_disk *d, uint8_t *p)
{
	static const uint8_t pages[] = {0x00, 0x80, 0x83, 0xb0, 0xb1, PROVISIONING};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(pages); i++)
		if (has_page(d, pages[i]))
			p[n++] = pages[i];
	return n;
}

static size_t page_serial(const struct ovbd_scsi_disk *d, uint8_t *p)
{
	return put_text(p, d->serial, SERIAL_MAX);
}

/* FNV-1a. */
static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return h;
}

/* A number that no registry has given (NAA 3), and vendor and serial in letters. */
static size_t page_identification(const struct ovbd_scsi_disk *d, uint8_t *p)
{
	enum { BINARY = 1, ASCII = 2, T10 = 1, NAA = 3, NAA_SIZE = 8 };
	uint8_t *t10 = p + 4 + NAA_SIZE;

	p[0] = BINARY;
	p[1] = NAA;
	p[3] = NAA_SIZE;
	ovbd_put_be64(p + 4, UINT64_C(3) << 60 | hash(d->serial) >> 4);
	t10[0] = ASCII;
	t10[1] = T10;
	memcpy(t10 + 4, VENDOR, 8);
	t10[3] = (uint8_t)(8 + put_text(t10 + 12, d->serial, SERIAL_MAX));
	return 4 + NAA_SIZE + 4 + (size_t)t10[3];
}

static size_t page_limits(const struct ovbd_scsi_disk *d, uint8_t *p)
{
	enum { WSNZ = 1 }; /* WRITE SAME wants a number of blocks */
	const uint32_t transfer = d->max_transfer / d->block_size;
	const uint32_t page = 4096 / d->block_size;

	p -= VPD_HEADER_SIZE; /* offsets as in the standard's table */
	p[4] = WSNZ;
	ovbd_put_be16(p + 6, (uint16_t)page); /* optimal granularity */
	ovbd_put_be32(p + 8, transfer);
	ovbd_put_be32(p + 12, transfer); /* optimal */
	if (d->writable) {
		ovbd_put_be32(p + 20, UNMAP_MAX / d->block_size);
		ovbd_put_be32(p + 24, 1); /* ranges of one UNMAP */
		ovbd_put_be32(p + 28, page);
		ovbd_put_be64(p + 36, UNMAP_MAX / d->block_size); /* of WRITE SAME */
	}
	return LIMITS_SIZE;
}

static size_t page_characteristics(const struct ovbd_scsi_disk *d, uint8_t *p)
{
	(void)d;
	p[1] = 1; /* does not rotate */
	return LIMITS_SIZE;
}

static size_t page_provisioning(const struct ovbd_scsi_disk *d, uint8_t *p)
{
	enum { LBPU = 0x80, LBPWS = 0x40, LBPWS10 = 0x20, THIN = 2 };

	(void)d;
	p[1] = LBPU | LBPWS | LBPWS10;
	p[2] = THIN;
	return 4;
}

void ovbd_scsi_inquiry(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	enum { EVPD = 1 };
	static const struct {
		uint8_t code;
		size_t (*put)(const struct ovbd_scsi_disk *d, uint8_t *p);
	} pages[] = {
		{0x00, page_supported},       {0x80, page_serial},
		{0x83, page_identification},  {0xb0, page_limits},
		{0xb1, page_characteristics}, {PROVISIONING, page_provisioning},
	};
	const size_t room = ovbd_get_be16(c->b + 3);

	if (c->b[1] == 0 && c->b[2] == 0) {
		inquiry_standard(ret, room);
		return;
	}
	for (size_t i = 0; c->b[1] == EVPD && i < sizeof(pages) / sizeof(*pages); i++) {
		if (pages[i].code == c->b[2] && has_page(c->disk, c->b[2])) {
			const size_t len = pages[i].put(c->disk, ret->answer + VPD_HEADER_SIZE);

			ret->answer[1] = c->b[2];
			ovbd_put_be16(ret->answer + 2, (uint16_t)len);
			scsi_answer(ret, VPD_HEADER_SIZE + len, room);
			return;
		}
	}
	scsi_refuse(ret, SCSI_INVALID_FIELD);
}

/* The mode page, or 0 if there is no such page. changeable: the mask of what may be set;
 * nothing. */
static size_t put_mode_page(const struct ovbd_scsi_disk *d, uint8_t code, bool changeable,
                            uint8_t *p)
{
	enum { CACHING = 0x08, CONTROL = 0x0a, WCE = 0x04 };
	const size_t len = code == CACHING ? 20 : code == CONTROL ? 12 : 0;

	if (len == 0)
		return 0;
	memset(p, 0, len);
	p[0] = code;
	p[1] = (uint8_t)(len - 2);
	if (code == CACHING && d->writable && !changeable)
		p[2] = WCE;
	return len;
}

static void mode_sense(const struct scsi_cdb *c, size_t header, size_t room,
                       struct ovbd_scsi_command *ret)
{
	enum { ALL = 0x3f, CHANGEABLE = 1, SAVED = 3, WRITE_PROTECT = 0x80, DPOFUA = 0x10 };
	const uint8_t code = c->b[2] & 0x3f, control = c->b[2] >> 6, sub = c->b[3];
	const uint8_t device = c->disk->writable ? DPOFUA : WRITE_PROTECT;
	uint8_t *p = ret->answer;
	size_t len = header;

	if (control == SAVED) {
		scsi_refuse(ret, SCSI_NOT_SAVED);
		return;
	}
	for (uint8_t page = 0; page < ALL; page++)
		if ((code == ALL || code == page) && (sub == 0 || sub == 0xff))
			len += put_mode_page(c->disk, page, control == CHANGEABLE, p + len);
	if (len == header) {
		scsi_refuse(ret, SCSI_INVALID_FIELD);
		return;
	}
	if (header == 4) {
		p[0] = (uint8_t)(len - 1);
		p[2] = device;
	} else {
		ovbd_put_be16(p, (uint16_t)(len - 2));
		p[3] = device;
	}
	scsi_answer(ret, len, room);
}

void ovbd_scsi_mode_sense6(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	mode_sense(c, 4, c->b[4], ret);
}

void ovbd_scsi_mode_sense10(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	mode_sense(c, 8, ovbd_get_be16(c->b + 7), ret);
}

/* Whether the page at p, of which left bytes are there, is what the disk has already; its length
 * in *ret. */
static bool is_current_page(const struct ovbd_scsi_disk *d, const uint8_t *p, size_t left,
                            size_t *ret)
{
	uint8_t page[MODE_PAGE_MAX];
	const size_t len = put_mode_page(d, p[0] & 0x3f, false, page);

	*ret = len;
	return len > 0 && len <= left && (p[0] & 0x40) == 0 &&
	       memcmp(p + 1, page + 1, len - 1) == 0;
}

static void mode_select(const struct scsi_cdb *c, size_t header, size_t claimed,
                        struct ovbd_scsi_command *ret)
{
	const uint8_t *p = c->parameters;
	size_t at, len;

	if (claimed == 0) {
		scsi_answer(ret, 0, 0);
		return;
	}
	if (c->nparameters < claimed || claimed < header) {
		scsi_refuse(ret, SCSI_PARAMETERS_LENGTH);
		return;
	}
	at = header + (header == 4 ? p[3] : ovbd_get_be16(p + 6)); /* past the block descriptors */
	if (at > claimed) {
		scsi_refuse(ret, SCSI_PARAMETERS_LENGTH);
		return;
	}
	for (; at < claimed; at += len) {
		if (!is_current_page(c->disk, p + at, claimed - at, &len)) {
			scsi_refuse(ret, SCSI_INVALID_PARAMETER);
			return;
		}
	}
	scsi_answer(ret, 0, 0);
}

void ovbd_scsi_mode_select6(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	mode_select(c, 4, c->b[4], ret);
}

void ovbd_scsi_mode_select10(const struct scsi_cdb *c, struct ovbd_scsi_command *ret)
{
	mode_select(c, 8, ovbd_get_be16(c->b + 7), ret);
}
