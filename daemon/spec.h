/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device shall be: what a user asks for, and what is kept of it in a file. Both are the same
 * JSON object:
 *
 *   id         1 to 64 of A-Z a-z 0-9 . _ -, no . or - first; optional when asked for
 *   images     absolute paths and URLs, bottom first
 *   format     of the images, as ovbd_format_parse(); default "auto"
 *   transport  default "auto"
 *   path       where the device shall appear, absolute; default: chosen by the manager
 *   writable   default false
 *   update     how images, a base and a COW, shall appear, as ovbd_update_parse(); default: as one
 *              image
 *   bow        an object: the image, a file or block device, with backup on write, writable:
 *                blockSize  0: the largest; 512 to 4096
 *                onFull     as ovbd_bow_on_full_parse(); default "error"
 *                minFree    bytes; default 0
 *                device     only in a file: what lies beneath, where the image is a configuration
 *                           that names it
 *                state      only in a file: the last that it was in, or is on its way to
 *   prefetch   of remote layers: none, trace or all; default: as the daemon has it
 *   trace      absolute path of a trace for that; default: as the images' configuration has it
 *   leaving    default false; only in a file: it has been detached, and goes with its last user
 */
#ifndef OVBD_DAEMON_SPEC_H
#define OVBD_DAEMON_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "bow/bow.h"
#include "image/image.h"
#include "image/update.h"

#define OVBD_SPEC_ID_MAX   64
#define OVBD_SPEC_SIZE_MAX (1u << 20) /* bytes of JSON */

/* Backup on write: bow/bow.h. */
struct ovbd_spec_bow {
	bool on;
	uint32_t block_size;
	enum ovbd_bow_on_full on_full;
	uint64_t min_free;
	char *device; /* NULL: the image */
	enum ovbd_bow_state state;
};

struct ovbd_spec {
	char *id;
	char **images;
	size_t nimages;
	enum ovbd_format format;
	char *transport;
	char *path; /* NULL: not given */
	bool writable;
	enum ovbd_update_kind update;
	struct ovbd_spec_bow bow;
	enum ovbd_prefetch_mode prefetch; /* OVBD_PREFETCH_AUTO: not given */
	char *trace;                      /* NULL: not given */
	bool leaving;
};

/* -EINVAL with what is wrong: a key that is unknown, missing, or of a wrong type. Without an id
 * *ret has none (NULL). */
int ovbd_spec_decode(const json_t *object, struct ovbd_spec **ret, struct ovbd_error *err);

/* NULL: out of memory. To be released. */
json_t *ovbd_spec_encode(const struct ovbd_spec *s);

/* 0, or -EINVAL. */
int ovbd_spec_check_id(const char *id, struct ovbd_error *err);

/* Whether asked can be answered by the device that have describes: the same images, and nothing
 * else that was asked for contradicts. */
bool ovbd_spec_fits(const struct ovbd_spec *have, const struct ovbd_spec *asked);

/* The part of the key "bow". */
int ovbd_spec_bow_decode(const json_t *object, struct ovbd_spec_bow *ret, struct ovbd_error *err);
json_t *ovbd_spec_bow_encode(const struct ovbd_spec_bow *b); /* NULL where there is none */
bool ovbd_spec_bow_fits(const struct ovbd_spec_bow *have, const struct ovbd_spec_bow *asked);

/* What a person asks for with "bow": the path beneath it. */
const char *ovbd_spec_bow_device(const struct ovbd_spec *s);

/* NULL is fine. */
void ovbd_spec_free(struct ovbd_spec *s);

static inline void ovbd_spec_freep(struct ovbd_spec **s)
{
	ovbd_spec_free(*s);
}

#endif
