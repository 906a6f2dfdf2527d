// SPDX-License-Identifier: Apache-2.0
/*
 * A stack of idle scratches: the last one given back is the first one taken, as its memory is in
 * the processor's cache. Each remembers the block it decompressed last for a read that wanted only
 * a part; whoever wants the rest of that block finds it here, which makes a walk in small steps
 * inflate each block once. As a scratch has one owner at a time, nothing is shared between reads.
 *
 * The list grows to the largest number of reads that ever ran at the same time, up to IDLE_MAX.
 */
#include "zfile/scratch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define IDLE_MAX 16u

static void scratch_free(const struct ovbd_codec *codec, struct zfile_scratch *s)
{
	codec->decompressor_free(s->decompressor);
	free(s->in);
	free(s->block);
	free(s);
}

void ovbd_zfile_scratches_init(struct zfile_scratches *list, const struct ovbd_codec *codec)
{
	*list = (struct zfile_scratches){.codec = codec};
	pthread_mutex_init(&list->lock, NULL);
}

void ovbd_zfile_scratches_free(struct zfile_scratches *list)
{
	while (list->idle) {
		struct zfile_scratch *s = list->idle;

		list->idle = s->next;
		scratch_free(list->codec, s);
	}
	pthread_mutex_destroy(&list->lock);
}

static int scratch_create(const struct ovbd_codec *codec, struct zfile_scratch **ret,
                          struct ovbd_error *err)
{
	struct zfile_scratch *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = codec->decompressor_create(&s->decompressor, err);
	if (r < 0) {
		free(s);
		return r;
	}
	s->block_no = ZFILE_NO_BLOCK;
	*ret = s;
	return 0;
}

int ovbd_zfile_scratch_take(struct zfile_scratches *list, uint64_t block_no,
                            struct zfile_scratch **ret, struct ovbd_error *err)
{
	struct zfile_scratch **at, *s;

	pthread_mutex_lock(&list->lock);
	for (at = &list->idle; *at && (*at)->block_no != block_no;)
		at = &(*at)->next;
	if (!*at)
		at = &list->idle;
	s = *at;
	if (s) {
		*at = s->next;
		list->nidle--;
	}
	pthread_mutex_unlock(&list->lock);
	if (!s)
		return scratch_create(list->codec, ret, err);
	*ret = s;
	return 0;
}

void ovbd_zfile_scratch_give(struct zfile_scratches *list, struct zfile_scratch *take_s)
{
	struct zfile_scratch *s = take_s;

	pthread_mutex_lock(&list->lock);
	if (list->nidle < IDLE_MAX) {
		s->next = list->idle;
		list->idle = s;
		list->nidle++;
		s = NULL;
	}
	pthread_mutex_unlock(&list->lock);
	if (s)
		scratch_free(list->codec, s);
}

int ovbd_zfile_scratch_grow(struct zfile_scratch *s, size_t size, struct ovbd_error *err)
{
	size_t bigger = 16u << 10;

	if (size <= s->in_size)
		return 0;
	while (bigger < size)
		bigger *= 2;
	free(s->in);
	s->in_size = 0;
	s->in = malloc(bigger);
	if (!s->in)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->in_size = bigger;
	return 0;
}
