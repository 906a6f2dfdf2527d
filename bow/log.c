// SPDX-License-Identifier: Apache-2.0
/* A whole log in memory: the entries that bow/walk.h finds, turned round. */
#include "bow/log.h"

#include <errno.h>

#include "base/bytes.h"
#include "bow/walk.h"

void ovbd_bow_log_free(struct bow_log *take_l)
{
	if (!take_l)
		return;
	free(take_l->entries);
	free(take_l->sequences);
	free(take_l);
}

static void log_freep(struct bow_log **l)
{
	ovbd_bow_log_free(*l);
}

static int make_room(struct bow_log *l, size_t *room)
{
	const size_t more = *room * 2 + 256;
	struct bow_entry *entries;
	uint32_t *sequences;

	if (l->nentries < *room)
		return 0;
	entries = realloc(l->entries, more * sizeof(*entries));
	if (entries)
		l->entries = entries;
	sequences = realloc(l->sequences, more * sizeof(*sequences));
	if (sequences)
		l->sequences = sequences;
	if (!entries || !sequences)
		return -ENOMEM;
	*room = more;
	return 0;
}

static void turn_round(struct bow_log *l)
{
	for (size_t i = 0, j = l->nentries; i + 1 < j; i++) {
		const struct bow_entry entry = l->entries[i];
		const uint32_t sequence = l->sequences[i];

		j--;
		l->entries[i] = l->entries[j];
		l->entries[j] = entry;
		l->sequences[i] = l->sequences[j];
		l->sequences[j] = sequence;
	}
}

int ovbd_bow_log_read(struct ovbd_blob *b, struct bow_log **ret, struct ovbd_error *err)
{
	OVBD_AUTO(log_freep) struct bow_log *l = calloc(1, sizeof(*l));
	AUTO_BOW_WALK w = {0};
	size_t room = 0;
	int r;

	if (!l)
		return ovbd_fail(err, -ENOMEM, "no memory for a log");
	r = ovbd_bow_walk_begin(&w, b, err);
	if (r < 0)
		return r;
	l->header = w.newest;
	for (;;) {
		if (make_room(l, &room) < 0)
			return ovbd_fail(err, -ENOMEM, "log: no memory for %zu entries",
			                 l->nentries + 1);
		r = ovbd_bow_walk_next(&w, &l->entries[l->nentries], err);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		l->sequences[l->nentries++] = w.header.sequence;
	}
	turn_round(l);
	*ret = OVBD_MOVE(l);
	return 0;
}
