/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache's directory (remote/cache.h) for who looks after it: what is in it, whether it is right,
 * and what is to stay or to go. Other processes may use it meanwhile, and notice nothing.
 */
#ifndef OVBD_REMOTE_CACHE_ADMIN_H
#define OVBD_REMOTE_CACHE_ADMIN_H

#include "remote/cache.h"

/* One blob. Its strings last as long as the call. */
struct ovbd_cache_item {
	const char *name; /* of its files */
	const char *key;  /* NULL: it cannot be read */
	uint64_t size;    /* bytes of the blob */
	uint64_t present; /* of them are there */
	uint64_t disk;    /* bytes that its files take */
	uint32_t chunk_size;
	uint64_t used; /* seconds since 1970, when any of it was last read; 0: unknown */
	bool pinned, in_use;
	bool whole; /* all of it is there, and was found to have its digest */
};

/* What is wrong with it. */
struct ovbd_cache_damage {
	uint64_t nchunks;       /* that are wrong, or whose entry is */
	struct ovbd_error what; /* the first damage; "": none */
	bool repaired;
};

/* A directory that is there; nothing is stored or evicted by itself. Closed as any cache. */
int ovbd_cache_attach(const char *dir, struct ovbd_cache **ret, struct ovbd_error *err);

/* Calls one for each blob, and for each name that is only pinned. 0, or what one has returned. */
typedef int (*ovbd_cache_item_fn)(void *ctx, const struct ovbd_cache_item *item);
int ovbd_cache_list(struct ovbd_cache *c, ovbd_cache_item_fn one, void *ctx,
                    struct ovbd_error *err);

/* Reads all there is, and holds it against its checksums, and what is whole and not marked so, once
 * against its digest. Calls one for each blob. repair: what is
 * wrong is taken out, so that it is fetched again; files that are in use are left for another
 * time. 0, or what one has returned. */
typedef int (*ovbd_cache_verify_fn)(void *ctx, const struct ovbd_cache_item *item,
                                    const struct ovbd_cache_damage *d);
int ovbd_cache_verify(struct ovbd_cache *c, bool repair, ovbd_cache_verify_fn one, void *ctx,
                      struct ovbd_error *err);

/* Removes what processes that were killed have left, and, of what is not pinned, what was unused
 * for longest, until size bytes are left. *ret is what the directory takes then. -EBUSY: another
 * process evicts, and does not end. */
int ovbd_cache_gc(struct ovbd_cache *c, uint64_t size, uint64_t *ret, struct ovbd_error *err);

/* The blob called name is never evicted, or may be again; it need not be there. key is for people
 * who list pins of what is not there. */
int ovbd_cache_pin(struct ovbd_cache *c, const char *name, const char *key, bool pin,
                   struct ovbd_error *err);

#endif
