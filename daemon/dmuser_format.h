/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to daemon/dmuser*.c: the messages of the kernel's dm-user target, in the byte order of
 * the host, as they never leave it. The same header goes both ways, and the first kernels' has one
 * number more, at its end. Only this file knows offsets.
 */
#ifndef OVBD_DAEMON_DMUSER_FORMAT_H
#define OVBD_DAEMON_DMUSER_FORMAT_H

#include <stdint.h>
#include <string.h>

#define DMUSER_HEADER_SIZE     40u
#define DMUSER_HEADER_OLD_SIZE 48u
#define DMUSER_SECTOR_SIZE     512u
#define DMUSER_OLD_PIECE       65536u /* of data behind each header of the first protocol */

/* What is asked. */
enum {
	DMUSER_READ = 0,
	DMUSER_WRITE = 1, /* the only one with data behind it */
	DMUSER_FLUSH = 2,
	DMUSER_DISCARD = 3,
	DMUSER_WRITE_ZEROES = 6,
};

/* What is answered. */
enum {
	DMUSER_SUCCESS = 0,
	DMUSER_ERROR = 1,
	DMUSER_UNSUPPORTED = 2,
};

/* Flags that matter. */
enum {
	DMUSER_FUA = 0x200,
	DMUSER_PREFLUSH = 0x400,
	DMUSER_NOUNMAP = 0x8000,
};

struct dmuser_header {
	uint64_t seq, type, flags, sector, len;
	uint64_t more; /* of the first protocol: another piece follows */
};

static inline struct dmuser_header dmuser_header_decode(const uint8_t raw[DMUSER_HEADER_SIZE])
{
	struct dmuser_header h = {0};

	memcpy(&h.seq, raw, 8);
	memcpy(&h.type, raw + 8, 8);
	memcpy(&h.flags, raw + 16, 8);
	memcpy(&h.sector, raw + 24, 8);
	memcpy(&h.len, raw + 32, 8);
	return h;
}

static inline void dmuser_header_encode(const struct dmuser_header *h,
                                        uint8_t raw[DMUSER_HEADER_OLD_SIZE])
{
	memcpy(raw, &h->seq, 8);
	memcpy(raw + 8, &h->type, 8);
	memcpy(raw + 16, &h->flags, 8);
	memcpy(raw + 24, &h->sector, 8);
	memcpy(raw + 32, &h->len, 8);
	memcpy(raw + 40, &h->more, 8);
}

#endif
