/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LSMT: a layer is a file of sorted segments (device range -> bytes of the file, or zeros); a
 * stack is up to 255 layers merged into one index. docs/format-lsmt.md has the layout.
 */
#ifndef OVBD_LSMT_LSMT_H
#define OVBD_LSMT_LSMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/progress.h"
#include "base/sink.h"

#define OVBD_LAYERS_MAX        255u     /* in a stack; the original's limit */
#define OVBD_SEGMENTS_ORIGINAL 999936u  /* in a layer: with more the original cannot open it */
#define OVBD_SEGMENTS_ALWAYS   1000000u /* in a layer: so many are opened, however it is stored */
#define OVBD_UUID_SIZE         37       /* text, with its NUL */
#define OVBD_TAG_SIZE          257      /* commit message, with a NUL */

/* ---- the index (index.h has how it is stored) ---- */

struct ovbd_index;

/* Instead of a layer's number: the bytes are at src of the device that lies beneath. In a layer's
 * own index beneath that layer, in a stack's beneath them all. */
#define OVBD_LAYER_BELOW OVBD_LAYERS_MAX

/* A run of a device with one source. All bytes. */
struct ovbd_segment {
	uint64_t off;   /* in the device */
	uint64_t len;   /* > 0 */
	uint64_t src;   /* DATA: in the layer's blob */
	uint32_t layer; /* DATA and ZERO: whose segment it is, 0 = bottom; or OVBD_LAYER_BELOW */
	enum ovbd_run_kind kind;
};

static inline bool ovbd_segment_is_below(const struct ovbd_segment *s)
{
	return s->kind == OVBD_RUN_DATA && s->layer == OVBD_LAYER_BELOW;
}

/* The segment that covers off, cut to [off, off + len); where none does, a HOLE up to the next
 * segment. So successive calls tile any range. len > 0. Any thread; O(log n). */
struct ovbd_segment ovbd_index_at(const struct ovbd_index *ix, uint64_t off, uint64_t len);

/* Segments stored, and the bytes of memory they take, all told (at most 20 a segment, plus a
 * constant). */
uint64_t ovbd_index_count(const struct ovbd_index *ix);
uint64_t ovbd_index_memory(const struct ovbd_index *ix);

/* ---- layers and stacks ---- */

struct ovbd_layer; /* an open layer: its blob and its index */

struct ovbd_layer_info {
	uint64_t virtual_size; /* bytes of the device */
	uint64_t nsegments;    /* as stored, without padding */
	uint64_t data_size;    /* bytes of device covered by data segments, beyond its end too */
	uint64_t zero_size;    /* the same, by zeroed segments */
	uint64_t ref_size;     /* the same, by references to what lies below */
	uint64_t ref_end;      /* where the last of what they refer to ends; 0: there are none */
	uint64_t end;          /* of the last segment, bytes; may be beyond virtual_size */
	uint32_t version;      /* major << 8 | minor */
	bool sealed_header;    /* the header says sealed too: committed, not sealed in place */
	char uuid[OVBD_UUID_SIZE], parent_uuid[OVBD_UUID_SIZE];
	char tag[OVBD_TAG_SIZE]; /* commit message; untrusted bytes */
};

/* 1 if b begins like an LSMT file, 0 if not, -errno if that cannot be read. */
int ovbd_layer_probe(struct ovbd_blob *b, struct ovbd_error *err);

/* Opens a read-only (committed or sealed) layer: validates all of its index. Segments beyond the
 * virtual size are kept (the device was made smaller); a stack cuts them off at its own size.
 *
 * stored_size: the bytes that are really stored of take_b, less than its size if it is compressed.
 * It bounds the memory of the index, as a short file may claim many segments: half as many bytes,
 * and 18 for each of OVBD_SEGMENTS_ALWAYS. More is -E2BIG. For a stack the bounds are added up. So
 * whatever a layer claims, to open it, to put it into a stack and to copy it to another stays
 * within twice the bytes stored plus 64 MiB. */
int ovbd_layer_open(struct ovbd_blob *take_b, uint64_t stored_size, struct ovbd_layer **ret,
                    struct ovbd_error *err);
const struct ovbd_layer_info *ovbd_layer_info(const struct ovbd_layer *l);

/* The layer's own index; NULL once it is part of a stack, which needs only the merged one. */
const struct ovbd_index *ovbd_layer_index(const struct ovbd_layer *l);
void ovbd_layer_close(struct ovbd_layer *take_l);

static inline void ovbd_layer_closep(struct ovbd_layer **l)
{
	ovbd_layer_close(*l);
}

/* Verifies what opening does not need to know: that header and trailer agree, and that bytes
 * without a meaning are as all writers leave them. Reads both, and nothing else. */
int ovbd_layer_check_form(struct ovbd_layer *l, struct ovbd_error *err);

/* The same, and that every byte of the layer's blob can be read; if that is a ZFile, it verifies
 * its checksums with this. 0, or the first error. progress may be NULL. */
int ovbd_layer_check(struct ovbd_layer *l, ovbd_progress_fn progress, void *arg,
                     struct ovbd_error *err);

/* Merges n layers, layers[0] at the bottom, into one blob whose size is that of the topmost layer
 * with a size. Takes the layers (not the array), also on failure. n = 1 .. OVBD_LAYERS_MAX, else
 * -E2BIG or -EINVAL. Reads that fail name the layer by its number.
 *
 * A layer's references are resolved: -EINVAL if they go beyond what lies below it, as they do in
 * the lowest layer if there is nothing. The index may then have as many segments as the layers have
 * and OVBD_SEGMENTS_ALWAYS more, or what half of the bytes stored have room for; -E2BIG. */
int ovbd_stack_open(struct ovbd_layer *const *take_layers, size_t n, struct ovbd_blob **ret,
                    struct ovbd_error *err);

/* The same over a base, which shows where no layer has a segment; beyond its end there are zeros.
 * If no layer has a size it is the base's. take_base may be NULL. */
int ovbd_stack_open_over(struct ovbd_blob *take_base, struct ovbd_layer *const *take_layers,
                         size_t n, struct ovbd_blob **ret, struct ovbd_error *err);

/* The same, but as a device of this size (not 0), which may be smaller or larger than what the
 * layers say. */
int ovbd_stack_open_sized(struct ovbd_blob *take_base, struct ovbd_layer *const *take_layers,
                          size_t n, uint64_t size, struct ovbd_blob **ret, struct ovbd_error *err);

/* The merged index of a blob from ovbd_stack_open(); lives as long as the blob. */
const struct ovbd_index *ovbd_stack_index(const struct ovbd_blob *stack);

/* A stack over base (which stays the caller's, and outlives it; NULL: nothing) that has no layers
 * yet, and gets them while it is read. Its size is more than anything has: a slice of it is what a
 * device lies over. */
int ovbd_stack_open_growing(struct ovbd_blob *base, struct ovbd_blob **ret, struct ovbd_error *err);

/* take_layer on top of all. Readers see what was there or what is there now, and never wait. The
 * caller sees to it that one at a time grows it; memory beside that of the new index: that of the
 * last, while it is made. -E2BIG beyond OVBD_LAYERS_MAX. On failure nothing has changed. */
int ovbd_stack_grow(struct ovbd_blob *stack, struct ovbd_layer *take_layer, struct ovbd_error *err);

/* ---- writing a layer ---- */

struct ovbd_layer_params {
	uint64_t virtual_size; /* bytes; any number, the last sector is padded with zeros. 0: that
	                        * of the device below; then what is put may lie anywhere */
	const char *uuid;      /* NULL: the null UUID */
	const char *parent_uuid;
	const char *tag; /* commit message of at most 256 bytes; NULL: none */
	bool over_base;  /* something lies beneath: all-zero blocks become zeroed segments;
	                     * otherwise they are dropped */
	bool references; /* it may hold some: then only readers that know them open it */
	bool beyond;     /* anything may be put beyond the virtual size, too: for a larger layer on
	                  * top, to which that shows */
};

struct ovbd_layer_writer;

/* The layer is written to take_out (which may be a ZFile's sink): data as they come, then the
 * index. Memory: 24 bytes a segment (up to 30 while its array grows), and during finish 52 if
 * they did not come in ascending order. After an error only close may follow. */
int ovbd_layer_create(struct ovbd_sink *take_out, const struct ovbd_layer_params *p,
                      struct ovbd_layer_writer **ret, struct ovbd_error *err);

/* Any order; what is put later wins. off is a multiple of 512, and so is len unless off + len is
 * the virtual size; -EINVAL otherwise. Zero blocks (4 KiB, aligned, or what there is of one at the
 * ends) within buf are found and not stored. */
int ovbd_layer_put(struct ovbd_layer_writer *w, uint64_t off, const void *buf, size_t len,
                   struct ovbd_error *err);

/* The range reads as zeros, whatever lies beneath. The same rule for off and len, but it may go
 * beyond the virtual size: for a larger layer on top, to which that shows. */
int ovbd_layer_zero(struct ovbd_layer_writer *w, uint64_t off, uint64_t len,
                    struct ovbd_error *err);

/* The range reads as that of the device below which begins at src, whatever else is put there, also
 * later. The same rule for off, len and src; params.references was given. Two must not overlap:
 * finish is -EINVAL then. */
int ovbd_layer_refer(struct ovbd_layer_writer *w, uint64_t off, uint64_t len, uint64_t src,
                     struct ovbd_error *err);

/* Writes the index and finishes the sink. Once. */
int ovbd_layer_finish(struct ovbd_layer_writer *w, struct ovbd_error *err);

/* After finish: segments in the index. More than OVBD_SEGMENTS_ORIGINAL: the original cannot
 * open it. */
uint64_t ovbd_layer_writer_nsegments(const struct ovbd_layer_writer *w);

/* Frees; what was not finished is discarded with its sink. NULL is fine. */
void ovbd_layer_writer_close(struct ovbd_layer_writer *take_w);

static inline void ovbd_layer_writer_closep(struct ovbd_layer_writer **w)
{
	ovbd_layer_writer_close(*w);
}

#endif
