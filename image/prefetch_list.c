// SPDX-License-Identifier: Apache-2.0
/*
 * One thread, so that no more than one of its reads is in flight beside those of who uses the
 * image. What it reads of the file system it has brought first (remote/ahead.h), so that a start,
 * which needs the same, finds it; a recorder is above that, and is told of none of these reads.
 * It ends with what of the list was found being fetched.
 */
#include "image/prefetch_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "image/paths.h"
#include "image/prefetch.h"
#include "remote/ahead.h"
#include "remote/patience.h"

struct ovbd_image_list {
	char *name; /* of its file */
	char *text;
	size_t len;
	struct ovbd_image *img;
	struct ovbd_image_prefetch how;
	atomic_bool stop;
	pthread_t thread;
	bool started;
	/* what could not be found */
	struct ovbd_error first;
	uint64_t nmissing;
};

int ovbd_image_list_load(const char *path, struct ovbd_image_list **ret)
{
	AUTO_FREE struct ovbd_image_list *list = calloc(1, sizeof(*list));
	AUTO_FREE char *name = strdup(path), *text = NULL;

	if (!list || !name)
		return -ENOMEM;
	if (ovbd_paths_load(path, &text, &list->len, NULL) < 0 ||
	    !ovbd_paths_is_list(text, list->len))
		return 0;
	list->text = OVBD_MOVE(text);
	list->name = OVBD_MOVE(name);
	*ret = OVBD_MOVE(list);
	return 0;
}

static void note_missing(void *arg, const char *sentence)
{
	struct ovbd_image_list *list = arg;

	if (list->nmissing++ == 0)
		ovbd_fail(&list->first, 0, "%s", sentence);
}

/* What is about to be read of the file system is kept for others. */
static void bring(void *arg, const struct ovbd_trace *t)
{
	const struct ovbd_image_list *list = arg;

	for (size_t i = 0; i < t->n; i++) {
		struct ovbd_blob *ahead;
		struct ovbd_range range;

		if (ovbd_image_prefetch_place(list->img, &t->records[i], &ahead, &range))
			ovbd_ahead_bring_now(ahead, &range, 1, NULL);
	}
}

static void tell(const struct ovbd_image_list *list, const char *sentence)
{
	struct ovbd_error say;

	if (!list->how.told || atomic_load(&list->stop))
		return;
	ovbd_fail(&say, 0, "%s: %s", list->name, sentence);
	list->how.told(list->how.arg, say.msg);
}

static void tell_missing(const struct ovbd_image_list *list)
{
	struct ovbd_error say;

	if (list->nmissing > 1)
		ovbd_fail(&say, 0, "%s (and %" PRIu64 " more)", list->first.msg,
		          list->nmissing - 1);
	else
		say = list->first;
	if (list->nmissing > 0)
		tell(list, say.msg);
}

static void *work(void *arg)
{
	struct ovbd_image_list *list = arg;
	const struct ovbd_paths_params p = {
		.told = note_missing,
		.will_read = bring,
		.arg = list,
		.stop = &list->stop,
	};
	AUTO_TRACE t = {0};
	struct ovbd_error err;

	ovbd_patience_set((struct ovbd_patience){.stop = &list->stop});
	ovbd_recorder_ignore_thread();
	if (ovbd_paths_trace(list->img, list->text, list->len, &p, &t, &err) < 0)
		tell(list, err.msg);
	tell_missing(list);
	if (!atomic_load(&list->stop) &&
	    ovbd_image_prefetch_start(list->img, &list->how, &t, &err) < 0)
		tell(list, err.msg);
	return NULL;
}

int ovbd_image_list_start(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                          struct ovbd_error *err)
{
	struct ovbd_image_list *list = img->list;
	int r;

	list->img = img;
	list->how = *how;
	list->how.trace = NULL; /* the caller's */
	r = ovbd_thread_start(&list->thread, work, list);
	list->started = r == 0;
	return r < 0 ? ovbd_fail_errno(err, r, "%s: starting a thread", list->name) : 0;
}

void ovbd_image_list_close(struct ovbd_image_list *take_list)
{
	if (!take_list)
		return;
	atomic_store(&take_list->stop, true);
	if (take_list->started)
		pthread_join(take_list->thread, NULL);
	free(take_list->name);
	free(take_list->text);
	free(take_list);
}
