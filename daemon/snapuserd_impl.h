/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to daemon/snapuserd*.c:
 *
 *     snapuserd.c            clients, and their threads
 *     snapuserd_commands.c   what they say
 */
#ifndef OVBD_DAEMON_SNAPUSERD_IMPL_H
#define OVBD_DAEMON_SNAPUSERD_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/snapuserd.h"

#define SNAPUSERD_MESSAGE_MAX 512u
#define SNAPUSERD_FIELDS_MAX  6

/* What was announced, and is not started yet. */
struct snapuserd_pending {
	struct snapuserd_pending *next;
	char *misc, *base, *cow;
	enum ovbd_update_kind kind;
};

struct ovbd_snapuserd {
	struct ovbd_snapuserd_params p;
	int wake_fd;
	pthread_t thread; /* accepts */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	unsigned nclients;
	struct snapuserd_pending *pending;
	bool passive; /* told to stop: nothing new */
};

void snapuserd_pending_free(struct snapuserd_pending *take_p);

/* Does what message says, text of n bytes, which it changes. Its answer, "" for none, and whether
 * the client may go on. */
bool snapuserd_answer(struct ovbd_snapuserd *s, char *message, char ret[SNAPUSERD_MESSAGE_MAX]);

#endif
