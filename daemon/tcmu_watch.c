// SPDX-License-Identifier: Apache-2.0
/*
 * One thread receives, and never waits for anything else: what an event asks for is begun, and
 * answered from whatever thread it ends in. So there is a list of the answers that are owed, and
 * who takes one out of it gives it: the thread that opened the image or closed the disk; this one,
 * when closing takes longer than the remover should wait; or stop().
 *
 * Whatever is called back (opened, gone) is called once, and frees its note.
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
#include "daemon/tcmu.h"
#include "daemon/tcmu_disk.h"

#define OVERLAYBD  "overlaybd"
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

/* The path that a disk's configuration means; to be freed. */
static char *image_of(const struct ovbd_tcmu_name *name)
{
	const char *config = name->config, *id = strrchr(config, ';');
	size_t n = strlen(config);
	char *path;

	if (strcmp(name->subtype, OVERLAYBD) == 0 && id && access(config, F_OK) < 0)
		n = (size_t)(id - config);
	if (asprintf(&path, "%s%.*s", config[0] == '/' ? "" : "/", (int)n, config) < 0)
		return NULL;
	return path;
}

/* By what its maker may call it besides, for snapshots; NULL: nothing. */
static const char *alias_of(const struct ovbd_tcmu_name *name, const char *image)
{
	const char *id = strrchr(name->config, ';');
	size_t n, tail;

	if (strcmp(name->subtype, OVERLAYBD) != 0 || !id || !id[1])
		return NULL;
	n = strlen(image);
	tail = strlen(id); /* it is part of the path, if there is such a file */
	return n >= tail && strcmp(image + n - tail, id) == 0 ? NULL : id + 1;
}

/* As its configuration has it. If that cannot be read, a disk that is in use may be one that its
 * users write to: what they write waits. */
static bool is_writable(const char *image, bool asked)
{
	bool upper = false;

	return ovbd_image_is_config(image, &upper, NULL) < 0 ? !asked : upper;
}

static int spec_of(const struct ovbd_tcmu_event *e, bool asked, struct ovbd_spec **ret,
                   struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_spec_freep) struct ovbd_spec *s = calloc(1, sizeof(*s));
	char id[OVBD_SPEC_ID_MAX + 1];
	int r = ovbd_tcmu_name_id(&e->name, id, sizeof(id), err);

	if (r < 0)
		return r;
	s->id = s ? strdup(id) : NULL;
	s->images = s ? calloc(1, sizeof(*s->images)) : NULL;
	if (!s || !s->id || !s->images || asprintf(&s->path, "/dev/uio%u", e->minor) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->images[0] = image_of(&e->name);
	s->nimages = 1;
	s->transport = strdup(ovbd_transport_kind_tcmu_adopted.name);
	s->format = strcmp(e->name.subtype, OVERLAYBD) == 0 ? OVBD_FORMAT_IMAGE : OVBD_FORMAT_AUTO;
	if (!s->images[0] || !s->transport)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->writable = is_writable(s->images[0], asked);
	*ret = OVBD_MOVE(s);
	return 0;
}

/* Has the device manager serve a disk; asked: the kernel waits for how it went, else it has been
 * served before. */
static void adopt(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e, bool asked)
{
	struct ovbd_adoption a = {
		.kind = &ovbd_transport_kind_tcmu_adopted,
		.kept = !asked,
		.opened = was_opened,
	};
	struct note *n = note_new(w, e, asked);
	struct ovbd_error err;
	int r;

	if (!n) {
		if (asked)
			reply(w, e, -ENOMEM);
		return;
	}
	a.arg = n;
	r = spec_of(e, asked, &a.take_spec, &err);
	if (r == 0)
		a.alias = alias_of(&e->name, a.take_spec->images[0]);
	if (r == 0 && a.take_spec->format == OVBD_FORMAT_IMAGE)
		n->config = strdup(a.take_spec->images[0]);
	ovbd_fault_point("add-understood");
	if (r == 0)
		r = ovbd_devices_adopt(w->p.devices, &a, &err);
	ovbd_fault_point("add-begun");
	if (r < 0) {
		tell(w, true, &e->name, err.msg);
		was_opened(n, r, err.msg);
	}
}

static void disown(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e)
{
	struct note *n = note_new(w, e, true);
	char id[OVBD_SPEC_ID_MAX + 1], path[32];
	struct ovbd_error err;
	int r;

	if (!n) {
		reply(w, e, 0); /* the ring is our process's as long as it is mapped */
		return;
	}
	snprintf(path, sizeof(path), "/dev/uio%u", e->minor);
	r = ovbd_tcmu_name_id(&e->name, id, sizeof(id), &err);
	ovbd_fault_point("remove-understood");
	if (r == 0)
		r = ovbd_devices_disown(w->p.devices, id, path, was_closed, n);
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

static bool is_ours(const struct ovbd_tcmu_name *name)
{
	return strcmp(name->subtype, OVERLAYBD) == 0 ||
	       (strcmp(name->subtype, "ovbd") == 0 && name->hba != OVBD_TCMU_HBA);
}

static void on_event(struct ovbd_tcmu_watch *w, const struct ovbd_tcmu_event *e)
{
	if (!is_ours(&e->name))
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

	if (is_ours(name))
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

static void *watch_main(void *arg)
{
	struct ovbd_tcmu_watch *w = arg;
	struct ovbd_tcmu_event e;

	for (;;) {
		struct pollfd fds[2] = {
			{.fd = ovbd_tcmu_listener_fd(w->listener), .events = POLLIN},
			{.fd = w->stop_fd, .events = POLLIN},
		};
		bool owing;

		pthread_mutex_lock(&w->lock);
		owing = w->owed != NULL;
		pthread_mutex_unlock(&w->lock);
		atomic_store(&w->busy_since, 0);
		if (poll(fds, 2, owing ? LOOK_MS : -1) > 0 && fds[1].revents != 0)
			return NULL;
		atomic_store(&w->busy_since, now_s());
		if (fds[0].revents != 0)
			receive(w);
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
	if (take_w->stop_fd >= 0)
		close(take_w->stop_fd);
	pthread_mutex_destroy(&take_w->lock);
	free(take_w);
}
