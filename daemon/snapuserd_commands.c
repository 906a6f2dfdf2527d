// SPDX-License-Identifier: Apache-2.0
/*
 * The messages: words with commas between. What was announced (init) is remembered here, and only
 * here; what was started is a device, which the manager keeps, over a restart of the daemon too. So
 * after a restart a client finds what it has started as it was, but for a merge, which waits until
 * it is told to go on; what it has only announced it announces again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "daemon/merger.h"
#include "daemon/snapuserd_impl.h"
#include "image/update.h"

#define SECTOR 512u
#define PIECE  (1u << 20)

/* A message, cut into its words. */
struct message {
	struct ovbd_snapuserd *s;
	char *words[SNAPUSERD_FIELDS_MAX];
	unsigned n;
	char *answer; /* SNAPUSERD_MESSAGE_MAX */
};

static void tell(const struct ovbd_snapuserd *s, const char *id, const struct ovbd_error *why)
{
	if (s->p.told)
		s->p.told(s->p.arg, true, id, why->msg);
}

static void say(const struct message *m, const char *what)
{
	snprintf(m->answer, SNAPUSERD_MESSAGE_MAX, "%s", what);
}

/* Says whether it went well, and why not where that is of use. */
static void say_result(const struct message *m, int r, const struct ovbd_error *why)
{
	if (r < 0)
		tell(m->s, m->n > 1 ? m->words[1] : "", why);
	say(m, r < 0 ? "fail" : "success");
}

/* ---- what was announced ---- */

void snapuserd_pending_free(struct snapuserd_pending *take_p)
{
	if (!take_p)
		return;
	free(take_p->misc);
	free(take_p->base);
	free(take_p->cow);
	free(take_p);
}

static void pending_freep(struct snapuserd_pending **p)
{
	snapuserd_pending_free(*p);
}

/* Takes it out of the list; NULL: it is not there. Lock held. */
static struct snapuserd_pending *take_pending(struct ovbd_snapuserd *s, const char *misc)
{
	for (struct snapuserd_pending **at = &s->pending; *at; at = &(*at)->next)
		if (strcmp((*at)->misc, misc) == 0) {
			struct snapuserd_pending *p = *at;

			*at = p->next;
			return p;
		}
	return NULL;
}

/* Lists it; -EEXIST: there is one of its name, -ESHUTDOWN: told to stop. */
static int list_pending(struct ovbd_snapuserd *s, struct snapuserd_pending *p,
                        struct ovbd_error *err)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	for (const struct snapuserd_pending *q = s->pending; r == 0 && q; q = q->next)
		if (strcmp(q->misc, p->misc) == 0)
			r = ovbd_fail(err, -EEXIST, "%s: was announced already", p->misc);
	if (s->passive)
		r = ovbd_fail(err, -ESHUTDOWN, "%s: told to stop", p->misc);
	if (r == 0) {
		p->next = s->pending;
		s->pending = p;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int open_size(const struct snapuserd_pending *p, uint64_t *ret, struct ovbd_error *err)
{
	const struct ovbd_update_params params = {
		.kind = p->kind,
		.base = p->base,
		.cow = p->cow,
		.writable = true,
	};
	struct ovbd_merger *merger;
	AUTO_DEVICE *d = NULL;
	int r;

	if (p->kind != OVBD_UPDATE_MERGE) {
		r = ovbd_update_open(&params, &d, err);
		if (r == 0)
			*ret = d->blob->size;
		return r;
	}
	r = ovbd_merger_open(p->base, p->cow, &merger, err);
	if (r < 0)
		return r;
	*ret = ovbd_merger_view(merger)->size;
	ovbd_merger_close(merger);
	return 0;
}

static void look(void *arg, const struct ovbd_device_view *v)
{
	(void)arg;
	(void)v;
}

static bool is_attached(const struct ovbd_snapuserd *s, const char *misc)
{
	return ovbd_devices_show(s->p.devices, misc, look, NULL) > 0;
}

static int make_pending(const struct message *m, struct snapuserd_pending *p,
                        struct ovbd_error *err)
{
	int r = ovbd_spec_check_id(m->words[1], err);

	if (r < 0)
		return r;
	p->misc = strdup(m->words[1]);
	p->cow = strdup(m->words[2]);
	p->base = strdup(m->words[m->n - 1]);
	p->kind = m->n == 5 ? OVBD_UPDATE_MERGE : OVBD_UPDATE_DM_SNAPSHOT;
	if (!p->misc || !p->cow || !p->base)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (p->cow[0] != '/' || p->base[0] != '/')
		return ovbd_fail(err, -EINVAL, "%s: '%s' and '%s' must be absolute paths", p->misc,
		                 p->cow, p->base);
	if (is_attached(m->s, p->misc))
		return ovbd_fail(err, -EEXIST, "%s: is there already", p->misc);
	return 0;
}

/* init,MISC,COW,BACKING: for dm-snapshot; and ,BASE: the one to be merged into. */
static void command_init(const struct message *m)
{
	OVBD_AUTO(pending_freep) struct snapuserd_pending *p = calloc(1, sizeof(*p));
	struct ovbd_error err = {"out of memory"};
	uint64_t size = 0;
	int r = p ? make_pending(m, p, &err) : -ENOMEM;

	if (r == 0)
		r = open_size(p, &size, &err);
	if (r == 0)
		r = list_pending(m->s, p, &err);
	if (r < 0) {
		say_result(m, r, &err);
		return;
	}
	p = NULL;
	snprintf(m->answer, SNAPUSERD_MESSAGE_MAX, "success,%" PRIu64, size / SECTOR);
}

/* ---- devices ---- */

static int attach(struct ovbd_snapuserd *s, const struct snapuserd_pending *p,
                  struct ovbd_error *err)
{
	json_t *object =
		json_pack("{ss, s[ss], ss, ss, sb}", "id", p->misc, "images", p->base, p->cow,
	                  "transport", "dm-user", "update", ovbd_update_name(p->kind), "writable",
	                  p->kind == OVBD_UPDATE_DM_SNAPSHOT);
	char id[OVBD_SPEC_ID_MAX + 1];
	struct ovbd_spec *spec;
	int r;

	if (!object)
		return ovbd_fail(err, -EINVAL, "%s: its paths are no UTF-8", p->misc);
	r = ovbd_spec_decode(object, &spec, err);
	json_decref(object);
	return r < 0 ? r : ovbd_devices_attach(s->p.devices, spec, id, err);
}

static void command_start(const struct message *m)
{
	OVBD_AUTO(pending_freep) struct snapuserd_pending *p = NULL;
	struct ovbd_error err;
	int r;

	pthread_mutex_lock(&m->s->lock);
	p = take_pending(m->s, m->words[1]);
	pthread_mutex_unlock(&m->s->lock);
	r = p ? attach(m->s, p, &err)
	      : ovbd_fail(&err, -ENOENT, "%s: was not announced", m->words[1]);
	if (p && r < 0 && list_pending(m->s, p, NULL) == 0)
		p = NULL; /* to be tried again */
	say_result(m, r, &err);
}

/* Also of what is not there: it has been deleted. */
static void command_delete(const struct message *m)
{
	OVBD_AUTO(pending_freep) struct snapuserd_pending *p = NULL;
	struct ovbd_error err;
	int r;

	pthread_mutex_lock(&m->s->lock);
	p = take_pending(m->s, m->words[1]);
	pthread_mutex_unlock(&m->s->lock);
	r = ovbd_devices_detach(m->s->p.devices, m->words[1], OVBD_DETACH_FORCE, &err);
	say_result(m, r == -ENOENT ? 0 : r, &err);
}

/* The names of the devices that are partitions' updates. */
struct names {
	char **list;
	size_t n;
	bool failed; /* no memory */
};

static void add_name(void *arg, const struct ovbd_device_view *v)
{
	struct names *names = arg;
	char **list;

	if (v->spec->update != OVBD_UPDATE_MERGE)
		return;
	list = realloc(names->list, (names->n + 1) * sizeof(*list));
	if (list) {
		names->list = list;
		list[names->n] = strdup(v->spec->id);
		names->n += list[names->n] != NULL;
	}
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

static struct names all_names(const struct ovbd_snapuserd *s)
{
	struct names names = {0};

	ovbd_devices_show(s->p.devices, NULL, add_name, &names);
	return names;
}

/* with() of all mergers there are; the first failure. */
static int with_all(const struct ovbd_snapuserd *s, ovbd_with_merger_fn with, void *arg,
                    struct ovbd_error *err)
{
	OVBD_AUTO(names_free) struct names names = all_names(s);
	int r = 0;

	for (size_t i = 0; i < names.n; i++) {
		struct ovbd_error why;
		const int r2 =
			ovbd_devices_with_merger(s->p.devices, names.list[i], with, arg, &why);

		if (r2 < 0 && r == 0)
			r = ovbd_fail(err, r2, "%s", why.msg);
	}
	return r;
}

/* ---- merging ---- */

static int start_merger(void *arg, struct ovbd_merger *merger, struct ovbd_error *err)
{
	(void)arg;
	return ovbd_merger_start(merger, err);
}

static void command_initiate_merge(const struct message *m)
{
	struct ovbd_error err;

	say_result(m,
	           ovbd_devices_with_merger(m->s->p.devices, m->words[1], start_merger, NULL, &err),
	           &err);
}

static int pause_merger(void *arg, struct ovbd_merger *merger, struct ovbd_error *err)
{
	const bool *pause = arg;

	(void)err;
	ovbd_merger_pause(merger, *pause);
	return 0;
}

static void set_pause(const struct message *m, bool pause)
{
	struct ovbd_error err;

	say_result(m, with_all(m->s, pause_merger, &pause, &err), &err);
}

static void command_pause_merge(const struct message *m)
{
	set_pause(m, true);
}

static void command_resume_merge(const struct message *m)
{
	set_pause(m, false);
}

static int add_percent(void *arg, struct ovbd_merger *merger, struct ovbd_error *err)
{
	struct ovbd_merger_status st;
	double *sums = arg;

	(void)err;
	ovbd_merger_status(merger, &st);
	sums[0] += st.nops > 0 ? 100.0 * (double)st.nmerged / (double)st.nops : 100.0;
	sums[1] += 1;
	return 0;
}

static void command_merge_percent(const struct message *m)
{
	double sums[2] = {0, 0};

	with_all(m->s, add_percent, sums, NULL);
	snprintf(m->answer, SNAPUSERD_MESSAGE_MAX, "%f", sums[1] > 0 ? sums[0] / sums[1] : 0.0);
}

static int get_status(void *arg, struct ovbd_merger *merger, struct ovbd_error *err)
{
	(void)err;
	ovbd_merger_status(merger, arg);
	return 0;
}

static void command_getstatus(const struct message *m)
{
	static const char *const names[] = {
		[OVBD_MERGER_WAITING] = "snapshot",
		[OVBD_MERGER_MERGING] = "snapshot-merge",
		[OVBD_MERGER_COMPLETE] = "snapshot-merge-complete",
		[OVBD_MERGER_FAILED] = "snapshot-merge-failed",
	};
	struct ovbd_merger_status st = {.state = OVBD_MERGER_FAILED};
	struct ovbd_error err;
	const int r = ovbd_devices_with_merger(m->s->p.devices, m->words[1], get_status, &st, &err);

	/* of what the kernel merges it is the kernel who knows */
	if (r == -EINVAL)
		st.state = OVBD_MERGER_WAITING;
	else if (r < 0)
		tell(m->s, m->words[1], &err);
	say(m, names[st.state]);
}

/* ---- verification ---- */

struct verified {
	uint64_t off;
	bool done;
	uint8_t buf[PIECE];
};

static int read_piece(void *arg, struct ovbd_merger *merger, struct ovbd_error *err)
{
	struct ovbd_blob *view = ovbd_merger_view(merger);
	struct verified *v = arg;
	const size_t n = (size_t)ovbd_min(PIECE, view->size - v->off);
	const int r = n > 0 ? ovbd_blob_pread(view, v->buf, n, v->off, err) : 0;

	v->off += n;
	v->done = v->off == view->size;
	return r;
}

/* Whether all of them can be read, from the first byte to the last. Between two pieces a device may
 * go. */
static void command_update_verify(const struct message *m)
{
	OVBD_AUTO(names_free) struct names names = all_names(m->s);
	AUTO_FREE struct verified *v = malloc(sizeof(*v));
	struct ovbd_error err = {"out of memory"};
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		v->off = 0;
		v->done = false;
		while (r == 0 && !v->done)
			r = ovbd_devices_with_merger(m->s->p.devices, names.list[i], read_piece, v,
			                             &err);
	}
	say_result(m, r, &err);
}

/* ---- the daemon ---- */

static bool is_passive(struct ovbd_snapuserd *s)
{
	bool passive;

	pthread_mutex_lock(&s->lock);
	passive = s->passive;
	pthread_mutex_unlock(&s->lock);
	return passive;
}

static void command_query(const struct message *m)
{
	say(m, is_passive(m->s) ? "passive" : "active");
}

/* The other daemon's way to hand its socket on is not ours. */
static void command_supports(const struct message *m)
{
	say(m, "fail");
}

static void become_passive(const struct message *m)
{
	bool pause = true;

	pthread_mutex_lock(&m->s->lock);
	m->s->passive = true;
	pthread_mutex_unlock(&m->s->lock);
	with_all(m->s, pause_merger, &pause, NULL);
	say(m, "");
}

/* What is served goes on until its targets go; nothing new, and no merges. */
static void command_detach(const struct message *m)
{
	become_passive(m);
}

static void command_stop(const struct message *m)
{
	OVBD_AUTO(names_free) struct names names = {0};
	struct ovbd_error err;

	become_passive(m);
	names = all_names(m->s);
	for (size_t i = 0; i < names.n; i++)
		if (ovbd_devices_detach(m->s->p.devices, names.list[i], OVBD_DETACH_FORCE, &err) <
		    0)
			tell(m->s, names.list[i], &err);
}

static const struct {
	const char *name;
	unsigned min, max; /* words, its own included */
	void (*run)(const struct message *m);
} commands[] = {
	{"init", 4, 5, command_init},
	{"start", 2, 2, command_start},
	{"delete", 2, 2, command_delete},
	{"query", 1, 1, command_query},
	{"getstatus", 2, 2, command_getstatus},
	{"initiate_merge", 2, 2, command_initiate_merge},
	{"merge_percent", 1, 1, command_merge_percent},
	{"pause_merge", 1, 1, command_pause_merge},
	{"resume_merge", 1, 1, command_resume_merge},
	{"update-verify", 1, 1, command_update_verify},
	{"supports", 2, 2, command_supports},
	{"stop", 1, 1, command_stop},
	{"detach", 1, 1, command_detach},
};

bool snapuserd_answer(struct ovbd_snapuserd *s, char *message, char ret[SNAPUSERD_MESSAGE_MAX])
{
	struct message m = {.s = s, .answer = ret};
	char *word;

	while ((word = strsep(&message, ",")) && m.n < SNAPUSERD_FIELDS_MAX)
		m.words[m.n++] = word;
	for (size_t i = 0; !word && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, m.words[0]) == 0 && m.n >= commands[i].min &&
		    m.n <= commands[i].max) {
			commands[i].run(&m);
			return true;
		}
	say(&m, "fail");
	return false;
}
