/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/: the bytes of a trace, which are overlaybd's. Bytes in, checked values out; no
 * input or output. docs/format-trace.md has the table, which a test compares with the constants.
 */
#ifndef OVBD_IMAGE_TRACE_FORMAT_H
#define OVBD_IMAGE_TRACE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/trace.h"

#define TRACE_HEADER_SIZE 24u
#define TRACE_RECORD_SIZE 24u
#define TRACE_MAGIC       0xc2ef1820u
#define TRACE_OP_READ     'R'

/* Overlaybd replays a record into a buffer of so many bytes, whatever the record says. */
#define TRACE_COUNT_MAX (1u << 20)

enum {
	TRACE_OFF_MAGIC = 0,
	TRACE_OFF_DATA_SIZE = 8,
	TRACE_OFF_CHECKSUM = 16,
	/* of a record */
	TRACE_OFF_OP = 0,
	TRACE_OFF_LAYER = 4,
	TRACE_OFF_COUNT = 8,
	TRACE_OFF_OFFSET = 16,
};

/* Whether the len bytes that a file begins with are those of a trace. */
bool ovbd_trace_has_magic(const uint8_t *raw, size_t len);

/* The bytes of records, as a header says it; file_size is that of the file it heads. */
int ovbd_trace_header_decode(const uint8_t raw[TRACE_HEADER_SIZE], uint64_t file_size,
                             uint64_t *ret_size, uint32_t *ret_crc, struct ovbd_error *err);
void ovbd_trace_header_encode(uint64_t size, uint32_t crc, uint8_t ret_raw[TRACE_HEADER_SIZE]);

/* number is for messages. */
int ovbd_trace_record_decode(const uint8_t raw[TRACE_RECORD_SIZE], uint64_t number,
                             struct ovbd_trace_record *ret, struct ovbd_error *err);
void ovbd_trace_record_encode(const struct ovbd_trace_record *r,
                              uint8_t ret_raw[TRACE_RECORD_SIZE]);

#endif
