/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image in files of a directory, of layers and a writable one on top, and the model that it is
 * compared with: for each sector a number, of which its bytes are made. 0: zeros.
 */
#ifndef OVBD_TESTS_LIB_RW_LIFE_H
#define OVBD_TESTS_LIB_RW_LIFE_H

#include "lsmt/rw.h"

#define LIFE_SECTOR      512u
#define LIFE_SECTORS_MAX 8192u
#define LIFE_LAYERS_MAX  8u

enum life_format { LIFE_APPEND, LIFE_SPARSE, LIFE_SPARSE_NO_MAP, LIFE_LOG, LIFE_NFORMATS };

struct life {
	enum life_format format;
	uint64_t seed, random, next, step;
	const char *dir;
	unsigned names[LIFE_LAYERS_MAX + 1]; /* of the layers' files, bottom first */
	unsigned nlayers, nfiles;
	uint64_t nsectors;                /* of the device */
	uint64_t model[LIFE_SECTORS_MAX]; /* beyond nsectors: what would show if it grew */
	uint64_t most; /* sectors this writable layer ever had: cut off is zeroed */
	struct ovbd_device *device;
};

/* The bytes of a sector, and back. */
void life_fill(uint64_t number, uint8_t ret[LIFE_SECTOR]);
uint64_t life_number_of(const uint8_t raw[LIFE_SECTOR]);

uint64_t life_below(struct life *t, uint64_t n);

/* The test fails, with where it was. */
void life_die(const struct life *t, const char *what);
void life_must(const struct life *t, int r, const struct ovbd_error *err);

/* In static memory, for a few calls. */
const char *life_path_of(const struct life *t, const char *name);
const char *life_layer_path(const struct life *t, unsigned number);

/* The lowest n layers as one; NULL: none. */
struct ovbd_blob *life_open_layers(const struct life *t, unsigned n);

/* A new writable layer of nsectors, opened; or the one that is there. */
void life_make_top(struct life *t);
void life_open_top(struct life *t);
void life_close_top(struct life *t);
void life_remove_top(struct life *t);

/* It reads as the model. */
void life_check_range(struct life *t, uint64_t at, uint64_t n);
void life_check_all(struct life *t);

#endif
