// SPDX-License-Identifier: Apache-2.0
/*
 * One thread receives, and never waits for anything else: what an event asks for is begun, and
 * answered from whatever thread it ends in. So there is a list of the answers that are owed, and
 * who takes one out of it gives it: the thread that opened the image or closed the disk; this one,
 * when closing takes longer than the remover should wait; or stop().
 *
 * Whatever is called back (opened, gone) is called once, and frees its note.
 *
 * A disk's node in /dev is there before the disk is told of, and where many disks are made at a
 * time long before; so images are opened from then on.
 */
#include "daemon/tcmu_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/auto.h"
#include "daemon/fault_point.h"
#include "daemon/result_file.h"
#include "daemon/tcmu_nodes.h"
#include "daemon/tcmu_spec.h"
#include "daemon/transports.h"

#define REMOVED_MS 2000 /* so long a remover waits for our last reader */
#define LOOK_MS    200
#define BUSY_MAX_S 10   /* it does nothing that takes long */
#define PAUSE_MS   1000 /* after an error of the socket, which may stay */

/* Something begun for a disk. */
struct note {
	struct ovbd_tcmu_watch *w;
	struct note *next; /* guarded by w->lock, as owed */
	bool owed;         /* an answer; then it is in the list */
	struct ovbd_tcmu_event event;
	char *config; /* whose resultFile is to be written; NULL: none */
	struct timespec since;
};

struct ovbd_tcmu_watch {
	struct ovbd_tcmu_watch_params p;
	struct ovbd_tcmu_listener *listener;
	int stop_fd;
	int nodes_fd; /* -1: there are no hints */
	pthread_t thread;
	_Atomic int64_t busy_since; /* seconds; 0: the thread waits for events */
	pthread_mutex_t lock;       /* guards the list */
	struct note *owed;
};

static void tell(const struct ovbd_tcmu_watch *w, bool error, const struct ovbd_tcmu_name *name,
                 const char *sentence)
{
	struct ovbd_error say;

	ovbd_fail(&say, 0, "TCMU: user_%u/%s: %s", name->hba, name->device, sentence);
	w->p.told(w->p.arg, error, "", say.msg);
}

/* --- what is owed --- */

static struct note *note_new(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e, bool owed)
{
	struct note *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->w = w;
	n->event = *e;
	n->owed = owed;
	clock_gettime(CLOCK_MONOTONIC, &n->since);
	if (owed) {
		pthread_mutex_lock(&w->lock);
		n->next = w->owed;
		w->owed = n;
		pthread_mutex_unlock(&w->lock);
	}
	return n;
}

static void note_free(struct note *take_n)
{
	free(take_n->config);
	free(take_n);
}

static void reply(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e, int status)
{
	static const char *const points[][2] = {
		[OVBD_TCMU_ADDED] = {"add-answering", "add-answered"},
		[OVBD_TCMU_REMOVED] = {"remove-answering", "remove-answered"},
		[OVBD_TCMU_RECONFIGURED] = {"reconfig-answering", "reconfig-answered"},
	};
	struct ovbd_error err;

	ovbd_fault_point(points[e->kind][0]);
	if (ovbd_tcmu_reply(w->listener, e, status, &err) < 0)
		tell(w, true, &e->name, err.msg);
	ovbd_fault_point(points[e->kind][1]);
}

/* Answers, unless somebody else has. */
static void settle(struct note *n, int status)
{
	struct ovbd_tcmu_watch *w = n->w;
	bool owed;

	pthread_mutex_lock(&w->lock);
	owed = n->owed;
	n->owed = false;
	for (struct note **at = &w->owed; owed && *at; at = &(*at)->next)
		if (*at == n) {
			*at = n->next;
			break;
		}
	pthread_mutex_unlock(&w->lock);
	if (owed)
		reply(w, &n->event, status);
}

static unsigned ms_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned)((now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000);
}

/* Takes one that is to be answered now out of the list: a removal that takes long, or any. */
static bool take_due(struct ovbd_tcmu_watch *w, bool any, struct ovbd_tcmu_event *ret)
{
	struct note **at = &w->owed;
	struct note *n;

	pthread_mutex_lock(&w->lock);
	while (*at && !any &&
	       ((*at)->event.kind != OVBD_TCMU_REMOVED || ms_since(&(*at)->since) < REMOVED_MS))
		at = &(*at)->next;
	n = *at;
	if (n) {
		*at = n->next;
		n->owed = false;
		*ret = n->event; /* its owner may free it any time */
	}
	pthread_mutex_unlock(&w->lock);
	return n != NULL;
}

/* --- disks --- */

static void was_opened(void *arg, int status, const char *why)
{
	struct note *n = arg;
	struct ovbd_error err;
	int r = 0;

	ovbd_fault_point("add-opened");
	if (n->config)
		r = ovbd_result_file_write(n->config, status, why, &err);
	ovbd_fault_point("add-told");
	if (r < 0 && r != -EBADMSG) /* which opening it has told already */
		tell(n->w, true, &n->event.name, err.msg);
	settle(n, status == -ESHUTDOWN ? -EAGAIN : status);
	note_free(n);
}

static void was_closed(void *arg)
{
	ovbd_fault_point("remove-closed");
	settle(arg, 0);
	note_free(arg);
}

/* What the device manager has of a disk. */
struct key {
	char id[OVBD_SPEC_ID_MAX + 1], path[32];
};

static int key_of(const struct ovbd_tcmu_event *e, struct key *ret, struct ovbd_error *err)
{
	snprintf(ret->path, sizeof(ret->path), "/dev/uio%u", e->minor);
	return ovbd_tcmu_name_id(&e->name, ret->id, sizeof(ret->id), err);
}

/* Has the device manager open a disk, for the note; NULL: the kernel has yet to tell of the disk.
 * in_use: it has been served before. */
static int begin(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e, bool in_use,
                 struct note *n, struct ovbd_error *err)
{
	struct ovbd_adoption a = {
		.kind = &ovbd_transport_kind_tcmu_adopted,
		.kept = in_use,
		.expected = !n,
		.opened = n ? was_opened : NULL,
		.arg = n,
	};
	int r = ovbd_tcmu_spec_of(&e->name, e->minor, in_use, &a.take_spec, err);

	if (r == 0 && !n && a.take_spec->writable) {
		ovbd_spec_free(a.take_spec);
		return -ENOTSUP;
	}
	if (r < 0)
		return r;
	a.alias = ovbd_tcmu_alias_of(&e->name, a.take_spec->images[0]);
	ovbd_fault_point("add-understood");
	return ovbd_devices_adopt(w->p.devices, &a, err);
}

/* asked: the kernel waits for how it went, else it has been served before. */
static void adopt(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e, bool asked)
{
	struct note *n = note_new(w, e, asked);
	struct ovbd_error err;
	struct key key;
	int r;

	if (!n) {
		if (asked)
			reply(w, e, -ENOMEM);
		return;
	}
	if (ovbd_tcmu_has_result(&e->name))
		n->config = ovbd_tcmu_image_of(&e->name);
	r = key_of(e, &key, &err);
	if (r == 0)
		r = asked ? ovbd_devices_announce(w->p.devices, key.id, key.path, was_opened, n)
		          : -ENOENT;
	if (r == -ENOENT)
		r = begin(w, e, !asked, n, &err);
	ovbd_fault_point("add-begun");
	if (r < 0) {
		tell(w, true, &e->name, err.msg);
		was_opened(n, r, err.msg);
	}
}

/* The kernel is about to tell of a disk. What of it can be opened before takes no writes: it does
 * no harm that there are two for a moment, as one fails and is tried again. */
static void on_node(void *arg, unsigned minor, bool there)
{
	struct ovbd_tcmu_watch *w = arg;
	struct ovbd_tcmu_event e = {.kind = OVBD_TCMU_ADDED, .minor = minor};
	struct key key;

	if (there) {
		if (ovbd_tcmu_name_of(minor, &e.name, NULL) == 0 &&
		    ovbd_tcmu_is_asked_of_us(&e.name))
			begin(w, &e, false, NULL, NULL);
		ovbd_fault_point("add-expected");
		return;
	}
	snprintf(key.path, sizeof(key.path), "/dev/uio%u", minor);
	ovbd_devices_expect_no_more(w->p.devices, key.path);
}

static void disown(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e)
{
	struct note *n = note_new(w, e, true);
	struct ovbd_error err;
	struct key key;
	int r;

	if (!n) {
		reply(w, e, 0); /* the ring is our process's as long as it is mapped */
		return;
	}
	r = key_of(e, &key, &err);
	ovbd_fault_point("remove-understood");
	if (r == 0)
		r = ovbd_devices_disown(w->p.devices, key.id, key.path, was_closed, n);
	ovbd_fault_point("remove-begun");
	if (r < 0)
		was_closed(n); /* it was never served */
}

static void was_resized(void *arg, int status, const char *why)
{
	struct note *n = arg;

	ovbd_fault_point("reconfig-opened");
	if (status < 0)
		tell(n->w, true, &n->event.name, why);
	settle(n, status);
	note_free(n);
}

/* A raw file's new size, or what is as it was, is granted. */
static void reconfigure(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e)
{
	char id[OVBD_SPEC_ID_MAX + 1], config[2 * OVBD_TCMU_NAME_SIZE];
	struct note *n = note_new(w, e, true);
	struct ovbd_error err;
	int r;

	if (!n) {
		reply(w, e, -ENOMEM);
		return;
	}
	snprintf(config, sizeof(config), "%s/%s", e->name.subtype, e->name.config);
	r = ovbd_tcmu_name_id(&e->name, id, sizeof(id), &err);
	if (r == 0 && e->has_size) {
		r = ovbd_devices_resize(w->p.devices, id, e->size, was_resized, n, &err);
		ovbd_fault_point("reconfig-begun");
		if (r == 0)
			return;
	} else if (r == 0 && (!e->has_config || strcmp(e->config, config) != 0)) {
		r = ovbd_fail(
			&err, -ENOTSUP,
			"another configuration was refused: remove the disk and make it anew");
	}
	was_resized(n, r, r < 0 ? err.msg : "");
}

static void on_event(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e)
{
	if (!ovbd_tcmu_is_asked_of_us(&e->name))
		return;
	switch (e->kind) {
	case OVBD_TCMU_ADDED:
		ovbd_fault_point("add-received");
		adopt(w, e, true);
		return;
	case OVBD_TCMU_REMOVED:
		ovbd_fault_point("remove-received");
		disown(w, e);
		return;
	case OVBD_TCMU_RECONFIGURED:
		ovbd_fault_point("reconfig-received");
		reconfigure(w, e);
		return;
	}
}

static int on_found(void *arg, unsigned minor, const struct ovbd_tcmu_name *name)
{
	const struct ovbd_tcmu_event e = {.minor = minor, .name = *name};

	if (ovbd_tcmu_is_asked_of_us(name))
		adopt(arg, &e, false);
	return 0;
}

/* --- the thread --- */

static int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void receive(struct ovbd_tcmu_watch *w)
{
	const struct timespec pause = {.tv_sec = PAUSE_MS / 1000};
	struct ovbd_tcmu_event e;
	struct ovbd_error err;
	int r;

	while ((r = ovbd_tcmu_next_event(w->listener, &e, &err)) > 0) {
		atomic_store(&w->busy_since, now_s());
		on_event(w, &e);
	}
	if (r < 0) {
		w->p.told(w->p.arg, true, "", err.msg);
		nanosleep(&pause, NULL);
	}
}

/* After what was told: a hint of a disk that is known means nothing. */
static void look_at_nodes(struct ovbd_tcmu_watch *w)
{
	if (ovbd_tcmu_nodes_read(w->nodes_fd, on_node, w) < 0)
		ovbd_devices_expect_no_more(w->p.devices, NULL);
}

static void *watch_main(void *arg)
{
	struct ovbd_tcmu_watch *w = arg;
	struct ovbd_tcmu_event e;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = ovbd_tcmu_listener_fd(w->listener), .events = POLLIN},
			{.fd = w->stop_fd, .events = POLLIN},
			{.fd = w->nodes_fd, .events = POLLIN},
		};
		bool owing;

		pthread_mutex_lock(&w->lock);
		owing = w->owed != NULL;
		pthread_mutex_unlock(&w->lock);
		atomic_store(&w->busy_since, 0);
		if (poll(fds, 3, owing ? LOOK_MS : -1) > 0 && fds[1].revents != 0)
			return NULL;
		atomic_store(&w->busy_since, now_s());
		if (fds[0].revents != 0)
			receive(w);
		if (fds[2].revents != 0)
			look_at_nodes(w);
		while (take_due(w, false, &e))
			reply(w, &e, 0);
	}
}

/* The order matters: see ovbd_tcmu_listen(). Once disks have been adopted there is no way back. */
static int start(struct ovbd_tcmu_watch *w, struct ovbd_error *err)
{
	struct ovbd_error why;
	int r = ovbd_tcmu_listen(&w->listener, err);

	if (r < 0)
		return r;
	r = -pthread_create(&w->thread, NULL, watch_main, w);
	if (r < 0) {
		ovbd_tcmu_listen_ready(w->listener, NULL);
		return ovbd_fail_errno(err, r, "TCMU: starting a thread");
	}
	if (ovbd_tcmu_scan(on_found, w, &why) < 0)
		w->p.told(w->p.arg, true, "", why.msg);
	ovbd_fault_point("listen-scanned");
	if (ovbd_tcmu_listen_ready(w->listener, &why) < 0)
		w->p.told(w->p.arg, true, "", why.msg);
	ovbd_fault_point("listen-ready");
	return 0;
}

int ovbd_tcmu_watch_start(const struct ovbd_tcmu_watch_params *p, struct ovbd_tcmu_watch **ret,
                          struct ovbd_error *err)
{
	struct ovbd_tcmu_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->p = *p;
	pthread_mutex_init(&w->lock, NULL);
	w->nodes_fd = ovbd_tcmu_nodes_open("/dev");
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = w->stop_fd < 0 ? ovbd_fail_errno(err, -errno, "TCMU's listener") : start(w, err);
	if (r < 0) {
		ovbd_tcmu_watch_close(w);
		return r;
	}
	*ret = w;
	return 0;
}

bool ovbd_tcmu_watch_answers(struct ovbd_tcmu_watch *w)
{
	const int64_t since = w ? atomic_load(&w->busy_since) : 0;

	return since == 0 || now_s() - since < BUSY_MAX_S;
}

void ovbd_tcmu_watch_stop(struct ovbd_tcmu_watch *w)
{
	const uint64_t one = 1;
	struct ovbd_tcmu_event e;
	struct ovbd_error err;

	if (!w)
		return;
	if (ovbd_tcmu_listen_end(w->listener, &err) < 0)
		w->p.told(w->p.arg, true, "", err.msg);
	if (write(w->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(w->thread, NULL);
	receive(w); /* what came before the end */
	while (take_due(w, true, &e))
		reply(w, &e, e.kind == OVBD_TCMU_REMOVED ? 0 : -EAGAIN);
}

void ovbd_tcmu_watch_close(struct ovbd_tcmu_watch *take_w)
{
	if (!take_w)
		return;
	ovbd_tcmu_listener_close(take_w->listener);
	if (take_w->nodes_fd >= 0)
		close(take_w->nodes_fd);
	if (take_w->stop_fd >= 0)
		close(take_w->stop_fd);
	pthread_mutex_destroy(&take_w->lock);
	free(take_w);
}
