// SPDX-License-Identifier: Apache-2.0
/*
 * Holds all there is against its checksums. Nothing is locked while it is read: a chunk that is
 * wrong is looked at again, and is only wrong if its entry is the same still, as whoever changes
 * data has taken the entry out before.
 *
 * What is all there, and right by its checksums, is held against its digest, unless it is marked.
 *
 * What was never meant to be read is no damage: bytes without an entry, and the times of last use.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "remote/cache_impl.h"

struct verify {
	struct ovbd_cache *c;
	bool repair;
	ovbd_cache_verify_fn one;
	void *ctx;
	uint8_t *buf; /* of a chunk */
};

static void note(struct ovbd_cache_damage *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void note(struct ovbd_cache_damage *d, const char *fmt, ...)
{
	va_list ap;

	if (d->what.msg[0])
		return;
	va_start(ap, fmt);
	vsnprintf(d->what.msg, sizeof(d->what.msg), fmt, ap);
	va_end(ap);
}

/* Whether the chunk is as its entry says, or is not said to be there. */
static bool is_good(const struct verify *v, const struct cache_file *f, uint64_t chunk,
                    uint8_t ret_entry[CACHE_ENTRY_SIZE], const char **ret_what)
{
	const uint32_t len = cache_chunk_len(f, chunk);
	struct cache_entry e;

	if (pread(f->map_fd, ret_entry, CACHE_ENTRY_SIZE, (off_t)cache_entry_at(chunk)) !=
	    CACHE_ENTRY_SIZE) {
		*ret_what = "its entry is not there";
		return false;
	}
	e = cache_entry_decode(ret_entry, f->seed, chunk);
	if (!e.present) {
		*ret_what = "its entry is damaged";
		return cache_entry_is_absent(ret_entry);
	}
	*ret_what = "its bytes are not there";
	if (cache_data_read(f, v->buf, len, cache_chunk_off(f, chunk)) < 0)
		return false;
	*ret_what = "its bytes are not those of its checksum";
	return ovbd_crc32c(~0u, v->buf, len) == e.crc;
}

/* Twice, if it is wrong: it may have been on its way out, or in. */
static bool is_bad(const struct verify *v, const struct cache_file *f, uint64_t chunk,
                   const char **ret_what)
{
	uint8_t before[CACHE_ENTRY_SIZE], after[CACHE_ENTRY_SIZE];

	for (unsigned i = 0; i < 3; i++) {
		if (is_good(v, f, chunk, before, ret_what))
			return false;
		if (pread(f->map_fd, after, sizeof(after), (off_t)cache_entry_at(chunk)) !=
		            sizeof(after) ||
		    memcmp(before, after, CACHE_OFF_USED) == 0)
			return true;
	}
	return true;
}

/* Takes it out, if it is still wrong and nobody is about to do so. */
static void drop(const struct verify *v, struct cache_file *f, uint64_t chunk)
{
	const int64_t lock = CACHE_LOCK_AT + (int64_t)chunk;
	const struct cache_entry none = {.gen = (uint16_t)(cache_entry_load(f, chunk).gen + 1)};
	const char *what;

	if (!cache_lock_try(f->map_fd, lock, 1))
		return;
	if (is_bad(v, f, chunk, &what))
		cache_entry_store(f, chunk, &none);
	cache_unlock(f->map_fd, lock, 1);
}

static void verify_chunks(const struct verify *v, struct cache_file *f, struct ovbd_cache_damage *d)
{
	const char *what;

	for (uint64_t i = 0; i < f->nchunks; i++) {
		if (!is_bad(v, f, i, &what))
			continue;
		note(d, "chunk %" PRIu64 " at %" PRIu64 ": %s", i, cache_chunk_off(f, i), what);
		d->nchunks++;
		if (v->repair)
			drop(v, f, i);
	}
	if (v->repair && d->nchunks > 0) {
		const char *again;

		d->repaired = true;
		for (uint64_t i = 0; d->repaired && i < f->nchunks; i++)
			d->repaired = !is_bad(v, f, i, &again);
	}
}

/* What has a mark is right if its checksums are. */
static void verify_digest(const struct verify *v, struct cache_file *f,
                          struct ovbd_cache_item *item, struct ovbd_cache_damage *d)
{
	char is[OVBD_CACHE_SHA256_SIZE], wanted[OVBD_CACHE_SHA256_SIZE];
	enum cache_whole r;

	if (item->whole || !ovbd_cache_key_sha256(f->header.key, wanted))
		return;
	r = cache_whole_look(f, NULL, NULL, is);
	item->whole = r == CACHE_WHOLE_RIGHT;
	if (r != CACHE_WHOLE_WRONG)
		return;
	note(d, "its digest is %s, not %s", is, wanted);
	d->repaired = v->repair && cache_whole_drop(f);
}

static void check_size(const char *which, int fd, uint64_t want, struct ovbd_cache_damage *d)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size != want)
		note(d, "the %s has %" PRIu64 " bytes, not %" PRIu64, which, (uint64_t)st.st_size,
		     want);
}

/* A map that cannot be read, or without data. */
static void verify_unreadable(const struct verify *v, const char *name, struct ovbd_cache_damage *d)
{
	cache_map_diagnose(v->c, name, &d->what);
	if (v->repair)
		d->repaired = cache_remove_unreadable(v->c, name);
}

static int verify_one(void *ctx, const char *name)
{
	struct verify *v = ctx;
	struct ovbd_cache_damage d = {0};
	struct ovbd_cache_item item;
	struct cache_file f;

	if (!cache_item_fill(v->c, name, &f, &item)) {
		if (item.key || !cache_has_map(v->c, name)) /* a pin, or it has just gone */
			return 0;
		verify_unreadable(v, name, &d);
		return v->one(v->ctx, &item, &d);
	}
	check_size("map", f.map_fd, cache_entry_at(f.nchunks), &d);
	check_size("data file", f.data_fd, f.header.blob_size, &d);
	if (d.what.msg[0] && v->repair)
		cache_mend(v->c, name);
	verify_chunks(v, &f, &d);
	if (v->repair && d.what.msg[0] && d.nchunks == 0)
		d.repaired = cache_file_is_whole(&f);
	if (!d.what.msg[0])
		verify_digest(v, &f, &item, &d);
	cache_file_unpeek(&f);
	return v->one(v->ctx, &item, &d);
}

int ovbd_cache_verify(struct ovbd_cache *c, bool repair, ovbd_cache_verify_fn one, void *ctx,
                      struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(OVBD_CACHE_CHUNK_MAX);
	struct verify v = {.c = c, .repair = repair, .one = one, .ctx = ctx, .buf = buf};

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory for a chunk");
	return cache_each_name(c, verify_one, &v, err);
}
