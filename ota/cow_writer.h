/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ota/cow_writer*.c: what both versions share, and what each does of its own. Add, label
 * and finish have been checked by cow_writer.c.
 */
#ifndef OVBD_OTA_COW_WRITER_H
#define OVBD_OTA_COW_WRITER_H

#include "ota/cow_format.h"
#include "ota/cow_write.h"

#define COW_RESUME_MAX 4u /* as Android's writer has it */

struct ovbd_cow_writer {
	struct ovbd_sink *out; /* owned */
	struct ovbd_cow_write_params p;
	struct cow_header h;
	uint64_t nops; /* added, without labels and the like */
	uint64_t nlabels;
	uint64_t label;  /* the last one */
	bool unordered;  /* a replace or zero has been added */
	uint8_t *table;  /* slots that are not in the sink yet: of the open cluster, or of 3.0 */
	uint32_t nslots; /* in it */
	/* 2.0 */
	uint8_t *data; /* of the open cluster */
	size_t data_len, data_cap;
	uint64_t nslots_total; /* that the footer counts */
	/* 3.0 */
	uint64_t nflushed; /* slots in the sink */
	uint64_t labels[COW_RESUME_MAX], indexes[COW_RESUME_MAX];
};

int cow_writer2_begin(struct ovbd_cow_writer *w, struct ovbd_error *err);
int cow_writer2_add(struct ovbd_cow_writer *w, const struct ovbd_cow_op *op, const void *data,
                    struct ovbd_error *err);
int cow_writer2_label(struct ovbd_cow_writer *w, uint64_t label, struct ovbd_error *err);
int cow_writer2_end(struct ovbd_cow_writer *w, struct ovbd_error *err);

int cow_writer3_begin(struct ovbd_cow_writer *w, struct ovbd_error *err);
int cow_writer3_add(struct ovbd_cow_writer *w, const struct ovbd_cow_op *op, const void *data,
                    struct ovbd_error *err);
void cow_writer3_label(struct ovbd_cow_writer *w, uint64_t label);
int cow_writer3_end(struct ovbd_cow_writer *w, struct ovbd_error *err);

#endif
