/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace: which ranges of which layers a start of an image has read, in order. Ranges are of the
 * file that holds the segments, so of what a layer's ZFile decompresses to. docs/format-trace.md.
 */
#ifndef OVBD_IMAGE_TRACE_H
#define OVBD_IMAGE_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

#define OVBD_TRACE_RECORDS_MAX (1u << 20)

struct ovbd_trace_record {
	uint32_t layer; /* 0 = bottom */
	uint64_t off, len;
};

/* {0} is one without records. */
struct ovbd_trace {
	struct ovbd_trace_record *records;
	size_t n, room;
};

/* Adds a range behind those there are; one that goes on where the last one ends makes that one
 * longer. -E2BIG: there are OVBD_TRACE_RECORDS_MAX already; -ENOMEM. */
int ovbd_trace_add(struct ovbd_trace *t, const struct ovbd_trace_record *r, struct ovbd_error *err);

/* Puts the records of from behind those of t, all of them in whole pages of 4 KiB, and none of
 * these twice. On failure t is as it was. */
int ovbd_trace_merge(struct ovbd_trace *t, const struct ovbd_trace *from, struct ovbd_error *err);

/* The bytes its records name. */
uint64_t ovbd_trace_size(const struct ovbd_trace *t);

void ovbd_trace_free(struct ovbd_trace *t);

/* *t is zero before. -EBADMSG: these len bytes are no trace, or their checksum is wrong. */
int ovbd_trace_decode(struct ovbd_trace *t, const uint8_t *raw, size_t len, struct ovbd_error *err);

/* *ret, to be freed: the bytes of a file, in which no record is longer than overlaybd can
 * replay. */
int ovbd_trace_encode(const struct ovbd_trace *t, uint8_t **ret, size_t *ret_len,
                      struct ovbd_error *err);

/* A file of it; *t is zero before. Sentences begin with the path. */
int ovbd_trace_load(struct ovbd_trace *t, const char *path, struct ovbd_error *err);

/* In place of what is there: complete, or not at all. */
int ovbd_trace_save(const struct ovbd_trace *t, const char *path, struct ovbd_error *err);

#define AUTO_TRACE OVBD_AUTO(ovbd_trace_free) struct ovbd_trace

#endif
