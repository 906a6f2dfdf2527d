// SPDX-License-Identifier: Apache-2.0
/* By what transport a device is served, and where it appears, as far as its user has not said. */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"

static int set(char **field, char *take_text, struct ovbd_error *err)
{
	if (!take_text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	free(*field);
	*field = take_text;
	return 0;
}

int devices_resolve_path(struct ovbd_spec *s, struct ovbd_error *err)
{
	const char *slash = s->path ? strrchr(s->path, '/') : NULL;
	AUTO_FREE char *dir = NULL, *real = NULL;
	char *path;

	if (!slash)
		return 0;
	dir = strndup(s->path, slash == s->path ? 1 : (size_t)(slash - s->path));
	real = dir ? realpath(dir, NULL) : NULL;
	if (!real)
		return ovbd_fail_errno(err, -errno, "%s", s->path);
	if (asprintf(&path, "%s%s", strcmp(real, "/") == 0 ? "" : real, slash) < 0)
		path = NULL;
	return set(&s->path, path, err);
}

/* Where a device of this kind appears; the lock is held, or nobody else knows s. */
static int give_path(const struct ovbd_devices *ds, const struct ovbd_transport_kind *kind,
                     struct ovbd_spec *s, struct ovbd_error *err)
{
	char *path;

	if (s->path || !kind->suffix)
		return 0;
	if (asprintf(&path, "%s/%s%s", ds->files_dir, s->id, kind->suffix) < 0)
		path = NULL;
	return set(&s->path, path, err);
}

static int check_suits(const struct ovbd_transport_kind *kind, const struct ovbd_spec *s,
                       uint64_t size, struct ovbd_error *err)
{
	const struct ovbd_transport_need need = {
		.size = size,
		.writable = s->writable,
		.discards = s->bow.on,
		.path = kind->suffix ? s->path : NULL, /* the kernel's own name is no wish */
	};
	const int r = ovbd_transport_kind_suits(kind, &need, err);

	return r < 0 ? ovbd_fail_within(err, r, "transport %s", kind->name) : 0;
}

int devices_complete(const struct ovbd_devices *ds, struct ovbd_spec *s,
                     const struct ovbd_transport_kind **ret_kind, struct ovbd_error *err)
{
	int r = ovbd_transport_kind_find(s->transport, ret_kind, err);

	if (r == 0 && s->path && *ret_kind && !(*ret_kind)->suffix)
		r = ovbd_fail(err, -EINVAL,
		              "with the transport %s the kernel names the device, it cannot be at "
		              "%s",
		              s->transport, s->path);
	if (r == 0 && *ret_kind)
		r = check_suits(*ret_kind, s, OVBD_TRANSPORT_ANY_SIZE, err);
	return r == 0 && *ret_kind ? give_path(ds, *ret_kind, s, err) : r;
}

/* What was chosen becomes the device's. */
static int take_choice(struct served *s, struct ovbd_transport_verdict *take_list,
                       struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_transport_verdicts_freep) struct ovbd_transport_verdict *list = take_list;
	const struct ovbd_transport_kind *kind = NULL;
	struct ovbd_transport_verdict *old = NULL;
	char text[OVBD_ERROR_SIZE] = "transport ";
	int r;

	for (const struct ovbd_transport_verdict *v = list; v->kind; v++)
		kind = v->kind;
	ovbd_transport_verdicts_text(list, text + strlen(text), sizeof(text) - strlen(text));
	devices_tell(s->all, false, s->spec->id, text);
	pthread_mutex_lock(&s->all->lock);
	if (s->kind) { /* the place that it had named, if any */
		free(s->spec->path);
		s->spec->path = NULL;
	}
	r = set(&s->spec->transport, strdup(kind->name), err);
	if (r == 0)
		r = give_path(s->all, kind, s->spec, err);
	if (r == 0) {
		old = s->considered;
		s->kind = kind;
		s->considered = OVBD_MOVE(list);
	}
	pthread_mutex_unlock(&s->all->lock);
	ovbd_transport_verdicts_free(old);
	return r;
}

int devices_choose_kind(struct served *s, uint64_t size, struct ovbd_error *err)
{
	const struct ovbd_transport_need need = {
		.size = size,
		.writable = s->spec->writable,
		.discards = s->spec->bow.on,
		.path = s->spec->path,
	};
	struct ovbd_transport_verdict *list;
	int r;

	if (s->kind)
		return check_suits(s->kind, s->spec, size, err);
	r = ovbd_transport_kind_choose(ovbd_transport_kinds, &need, &list, err);
	return r < 0 ? r : take_choice(s, list, err);
}

bool devices_choose_again(struct served *s, uint64_t size, const struct ovbd_error *why)
{
	const struct ovbd_transport_need need = {.size = size,
	                                         .writable = s->spec->writable,
	                                         .discards = s->spec->bow.on};
	struct ovbd_transport_verdict *list;

	if (!s->considered || s->kept || s->kind->suffix)
		return false;
	return ovbd_transport_kind_choose_again(ovbd_transport_kinds, &need, s->considered,
	                                        why->msg, &list, NULL) == 0 &&
	       take_choice(s, list, NULL) == 0;
}
