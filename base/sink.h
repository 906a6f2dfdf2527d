/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink takes bytes in order. Nothing is visible to others until finish() has succeeded; close()
 * without finish() leaves nothing behind. A sink is used by one thread at a time.
 */
#ifndef OVBD_BASE_SINK_H
#define OVBD_BASE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

struct ovbd_sink;

struct ovbd_sink_ops {
	const char *name;
	/* Required. All of it, or -errno; after an error only close() may follow. */
	int (*append)(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err);
	/* Optional: as appending len zeros, but cheaper. Without it zeros are appended. */
	int (*append_zeros)(struct ovbd_sink *s, uint64_t len, struct ovbd_error *err);
	/* Optional: overwrites bytes that were appended before; off + len <= written holds.
	 * Without it the answer is -ENOTSUP. */
	int (*patch)(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
	             struct ovbd_error *err);
	/* Required. Makes the result durable and visible. At most once. */
	int (*finish)(struct ovbd_sink *s, struct ovbd_error *err);
	/* Required. Frees the sink and what it owns; what was not finished is discarded. */
	void (*close)(struct ovbd_sink *s);
};

/* The head of every implementation's own struct. */
struct ovbd_sink {
	const struct ovbd_sink_ops *ops;
	uint64_t written; /* bytes appended, kept by the functions below */
};

int ovbd_sink_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err);
int ovbd_sink_append_zeros(struct ovbd_sink *s, uint64_t len, struct ovbd_error *err);
int ovbd_sink_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err);
bool ovbd_sink_can_patch(const struct ovbd_sink *s);
int ovbd_sink_finish(struct ovbd_sink *s, struct ovbd_error *err);

/* NULL is fine. */
void ovbd_sink_close(struct ovbd_sink *take_s);

static inline void ovbd_sink_closep(struct ovbd_sink **s)
{
	ovbd_sink_close(*s);
}
#define AUTO_SINK OVBD_AUTO(ovbd_sink_closep) struct ovbd_sink

struct ovbd_sink_file_params {
	bool overwrite; /* replace what is there; otherwise -EEXIST, at create and at finish */
};

/* A file: written under no name or a temporary one beside path, synced, then renamed to path; so
 * path exists if and only if it is complete, also after a crash. append_zeros makes holes.
 * A block device is written in place (only with overwrite): finish syncs it. p may be NULL. */
int ovbd_sink_create_file(const char *path, const struct ovbd_sink_file_params *p,
                          struct ovbd_sink **ret, struct ovbd_error *err);

/* A growing buffer, for tests and small things. After finish, ovbd_sink_mem_take() hands over the
 * malloc'ed bytes (the caller frees them). */
int ovbd_sink_create_mem(struct ovbd_sink **ret, struct ovbd_error *err);
uint8_t *ovbd_sink_mem_take(struct ovbd_sink *s, size_t *ret_len);

#endif
