/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ota/exceptions*.c:
 *
 *     exceptions_list.c    which block of the base has which chunk of the store
 *     exceptions.c         the store as it reads
 *     exceptions_merge.c   what the kernel writes back as it merges
 */
#ifndef OVBD_OTA_EXCEPTIONS_IMPL_H
#define OVBD_OTA_EXCEPTIONS_IMPL_H

#include <stdatomic.h>

#include "ota/cow_impl.h"
#include "ota/exceptions.h"

#define EXCEPTIONS_CHUNK  4096u
#define EXCEPTIONS_AREA   256u /* exceptions of an area */
#define EXCEPTIONS_STRIDE (EXCEPTIONS_AREA + 1)

struct exception {
	uint32_t old;
	uint64_t new;
};

/* All that the COW has, merged or not, so that each keeps its chunk for ever: the kernel may go on
 * with a list that it has read from an earlier process. First those that need no base, nplain of
 * them; then, in merge order, the others backwards, one an operation. The kernel merges from the
 * end, so what is left is a prefix. */
struct exceptions_store {
	struct ovbd_blob blob;
	struct ovbd_blob *view; /* owned */
	struct exception *list; /* both grow: new always, old not */
	uint64_t n, capacity;
	uint64_t nplain;
	uint64_t next;          /* chunk */
	_Atomic uint64_t nleft; /* of the list, that the metadata have */
	/* NULL, or called before the data of exceptions [i, i + n) are read. */
	int (*about_to_read)(void *arg, uint64_t i, uint64_t n, struct ovbd_error *err);
	void *arg;
};

static inline bool exceptions_is_metadata(uint64_t chunk)
{
	return chunk % EXCEPTIONS_STRIDE == 1;
}

/* Fills the list. */
int exceptions_list(struct exceptions_store *st, const struct ovbd_cow *c,
                    enum ovbd_exceptions_order order, struct ovbd_error *err);

/* A store that reads from no view yet. */
int exceptions_create(const struct ovbd_cow *c, enum ovbd_exceptions_order order,
                      struct exceptions_store **ret, struct ovbd_error *err);

#endif
