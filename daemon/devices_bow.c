// SPDX-License-Identifier: Apache-2.0
/*
 * Devices with backup on write.
 *
 * The file of a device has the state that it was in last, or that its user has asked for: it is
 * written before a commit or an abort begins, and after a checkpoint. Together with what is on the
 * medium (a log: CHECKPOINT; half a commit, which is finished when it is opened; half a restore;
 * nothing) it says what the device has to be after a daemon that died, for users who may have lived
 * on:
 *
 *   on the medium    in the file                 the device becomes
 *   a log            committed, aborted          that: it was asked for, and never answered
 *                    any other                   CHECKPOINT
 *   half a restore   trim                        nothing: its user has to finish it first
 *                    any other                   ABORTED, when the rest is restored
 *   nothing          trim                        TRIM
 *                    committed                   COMMITTED
 *                    aborted                     ABORTED
 *                    checkpoint                  what its policy has made of it
 *
 * ABORTED is never left but by detaching: who has a file system mounted on it remembers what is not
 * there any more.
 */
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "bow/restore.h"
#include "daemon/devices_impl.h"
#include "daemon/state_file.h"
#include "daemon/trimmed.h"
#include "image/bow.h"

/* From a thread that writes, which may hold locks of the device's. */
static void told(void *arg, const char *sentence)
{
	struct served *s = arg;

	pthread_mutex_lock(&s->bow_lock);
	snprintf(s->bow_said.msg, sizeof(s->bow_said.msg), "%s", sentence);
	pthread_mutex_unlock(&s->bow_lock);
	devices_tell(s->all, true, s->spec->id, sentence);
}

/* Writes it down. Without the lock. */
static int note_state(struct served *s, enum ovbd_bow_state state, struct ovbd_error *err)
{
	int r = 0;

	pthread_mutex_lock(&s->all->lock);
	if (s->spec->bow.state != state) {
		s->spec->bow.state = state;
		r = ovbd_state_file_write(s->all->state_dir, s->spec, err);
	}
	pthread_mutex_unlock(&s->all->lock);
	return r;
}

/* A configuration may name it. Found out once, as what takes writes is. */
int devices_settle_bow(struct served *s, struct ovbd_error *err)
{
	struct ovbd_spec *spec = s->spec;
	struct ovbd_image_bow b;
	int r;

	if (spec->bow.on || s->kept || spec->format == OVBD_FORMAT_RAW || spec->nimages != 1)
		return 0;
	r = ovbd_image_bow_find(spec->images[0], &b, err);
	if (r < 0 || !b.device)
		return r;
	pthread_mutex_lock(&s->all->lock);
	spec->bow = (struct ovbd_spec_bow){
		.on = true,
		.block_size = b.params.block_size,
		.on_full = b.params.on_full,
		.min_free = b.params.min_free,
		.device = OVBD_MOVE(b.device),
	};
	pthread_mutex_unlock(&s->all->lock);
	return 0;
}

/* What is served of it: errors. */
static int open_aborted(struct served *s, struct line *l, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	int r = ovbd_blob_open_file(ovbd_spec_bow_device(s->spec), &b, err);

	if (r == 0)
		r = ovbd_stand_in_open(b->size, true, 1, &l->aborted, err);
	if (r < 0)
		return r;
	ovbd_stand_in_explain(l->aborted, -EIO,
	                      "everything since the checkpoint was taken back: detach the device");
	ovbd_stand_in_give_up(l->aborted);
	return note_state(s, OVBD_BOW_ABORTED, err);
}

/* Half a restore is on the medium. */
static int finish_restore(struct served *s, struct line *l, struct ovbd_error *err)
{
	const struct ovbd_bow_restore_params p = {0};
	const char *path = ovbd_spec_bow_device(s->spec);
	struct ovbd_bow_info info;
	AUTO_DEVICE *d = NULL;
	int r;

	if (s->spec->bow.state == OVBD_BOW_TRIM)
		return ovbd_fail(err, -EUCLEAN,
		                 "%s: a restore of it was interrupted: finish it first, by 'ovbd "
		                 "bow restore %s'",
		                 path, path);
	r = ovbd_device_open_file_alone(path, &d, err);
	if (r == 0)
		r = ovbd_bow_restore(d, &p, &info, err);
	return r < 0 ? r : open_aborted(s, l, err);
}

/* There is no log. */
static int open_without_log(struct served *s, struct line *l, struct ovbd_error *err)
{
	enum ovbd_bow_state state = s->spec->bow.state;
	int r;

	if (state == OVBD_BOW_CHECKPOINT)
		state = s->spec->bow.on_full == OVBD_BOW_FULL_COMMIT ? OVBD_BOW_COMMITTED
		                                                     : OVBD_BOW_ABORTED;
	if (state == OVBD_BOW_TRIM)
		return 0;
	if (state == OVBD_BOW_COMMITTED) {
		r = ovbd_bow_commit(l->bow, err);
		return r < 0 ? r : note_state(s, state, err);
	}
	ovbd_device_close(l->writable);
	l->writable = l->bow = NULL;
	return open_aborted(s, l, err);
}

/* There is one. */
static int open_with_log(struct served *s, struct line *l, struct ovbd_error *err)
{
	const enum ovbd_bow_state state = s->spec->bow.state;

	if (state == OVBD_BOW_COMMITTED)
		return ovbd_bow_commit(l->bow, err);
	if (state == OVBD_BOW_ABORTED)
		return ovbd_bow_abort(l->bow, err);
	return note_state(s, OVBD_BOW_CHECKPOINT, err);
}

/* What its users have trimmed shall not have to be trimmed again, because this daemon ends. */
static int note_trimmed(struct served *s, struct line *l, struct ovbd_error *err)
{
	AUTO_FREE char *path = ovbd_state_file_trimmed(s->all->state_dir, s->spec->id);
	struct ovbd_trimmed_params p = {.path = path, .anew = !s->kept};
	struct ovbd_error why = {0};
	struct ovbd_bow_status now;
	int r;

	if (!l->bow)
		return 0;
	ovbd_bow_get_status(l->bow, &now);
	if (now.state > OVBD_BOW_CHECKPOINT)
		return 0;
	if (!path)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	p.block_size = now.block_size;
	p.size = l->writable->blob->size;
	r = ovbd_trimmed_open(OVBD_MOVE(l->writable), &p, &l->writable, &why);
	if (r < 0 && err)
		*err = why;
	if (r == 0 && why.msg[0])
		devices_tell(s->all, true, s->spec->id, why.msg);
	return r;
}

int devices_open_bow(struct served *s, struct line *l, struct ovbd_error *err)
{
	const struct ovbd_bow_params p = {
		.block_size = s->spec->bow.block_size,
		.on_full = s->spec->bow.on_full,
		.min_free = s->spec->bow.min_free,
		.told = told,
		.arg = s,
	};
	struct ovbd_bow_status now;
	int r = ovbd_image_bow_open(ovbd_spec_bow_device(s->spec), &p, &l->writable, &l->bow, err);

	if (r == -EUCLEAN)
		return finish_restore(s, l, err);
	if (r < 0)
		return r;
	ovbd_bow_get_status(l->bow, &now);
	r = now.state == OVBD_BOW_TRIM ? open_without_log(s, l, err) : open_with_log(s, l, err);
	if (r == 0)
		r = note_trimmed(s, l, err);
	if (r == 0)
		return 0;
	ovbd_device_close(l->writable);
	l->writable = l->bow = NULL;
	return ovbd_fail_named(err, r, ovbd_spec_bow_device(s->spec));
}

/* --- what its users ask for --- */

/* Lock held. The device cannot be closed until npins is back. */
static int pin(struct ovbd_devices *ds, const char *id, struct served **ret, struct ovbd_error *err)
{
	struct served *s = devices_find(ds, id);

	if (!s)
		return ovbd_fail(err, -ENOENT, "device %.80s: there is none of this id", id);
	if (!s->spec->bow.on)
		return ovbd_fail(err, -EINVAL, "device %s: has no backup on write", id);
	if (s->t && !s->bow)
		return ovbd_fail(
			err, -EINVAL,
			"device %s: everything since the checkpoint was taken back: detach "
			"it",
			id);
	if (!s->bow)
		return ovbd_fail(err, -EAGAIN, "device %s: is not served now%s%s", id,
		                 s->why.msg[0] ? ": " : "", s->why.msg);
	s->npins++;
	*ret = s;
	return 0;
}

static int move(struct served *s, enum ovbd_bow_state to, struct ovbd_error *err)
{
	if (to == OVBD_BOW_CHECKPOINT)
		return ovbd_bow_checkpoint(s->bow, err);
	if (to == OVBD_BOW_COMMITTED)
		return ovbd_bow_commit(s->bow, err);
	return ovbd_bow_abort(s->bow, err);
}

/* One at a time. */
static int bring(struct served *s, enum ovbd_bow_state to, struct ovbd_error *err)
{
	enum ovbd_bow_state was = s->spec->bow.state;
	struct ovbd_bow_status now;
	struct ovbd_error why;
	int r = 0, noted = 0;

	ovbd_bow_get_status(s->bow, &now);
	if (to != OVBD_BOW_CHECKPOINT && now.state < to &&
	    (to == OVBD_BOW_COMMITTED || now.state == OVBD_BOW_CHECKPOINT))
		r = note_state(s, to, err);
	if (r == 0)
		r = move(s, to, err);
	ovbd_bow_get_status(s->bow, &now);
	/* what was begun and has failed is for the next daemon to finish */
	if (r == 0 || to == OVBD_BOW_CHECKPOINT)
		noted = note_state(s, now.state, &why);
	else if (r == -EINVAL)
		noted = note_state(s, now.state >= OVBD_BOW_COMMITTED ? now.state : was, &why);
	if (noted < 0)
		devices_tell(s->all, true, s->spec->id, why.msg);
	return r;
}

int ovbd_devices_bow(struct ovbd_devices *ds, const char *id, enum ovbd_bow_state to,
                     struct ovbd_error *err)
{
	struct served *s = NULL;
	struct ovbd_error say;
	int r;

	pthread_mutex_lock(&ds->lock);
	r = pin(ds, id, &s, err);
	while (r == 0 && s->bow_moves)
		devices_wait(ds, NULL);
	if (r == 0)
		s->bow_moves = true;
	pthread_mutex_unlock(&ds->lock);
	if (r < 0)
		return r;
	r = bring(s, to, err);
	ovbd_fail(&say, 0, "backup on write: %s%s%s", ovbd_bow_state_name(to), r < 0 ? ": " : "",
	          r < 0 && err ? err->msg : "");
	devices_tell(ds, r < 0, s->spec->id, say.msg);
	if (r < 0)
		ovbd_fail_within(err, r, "device %s", s->spec->id);
	pthread_mutex_lock(&ds->lock);
	s->bow_moves = false;
	s->npins--;
	pthread_cond_broadcast(&ds->changed);
	pthread_mutex_unlock(&ds->lock);
	return r;
}

void devices_view_bow(struct served *s, struct ovbd_device_view *v)
{
	struct ovbd_device_bow *b = &v->bow;

	if (!s->spec->bow.on)
		return;
	b->on = true;
	if (s->bow)
		ovbd_bow_get_status(s->bow, &b->status);
	else
		b->status = (struct ovbd_bow_status){.state = s->spec->bow.state,
		                                     .block_size = s->spec->bow.block_size};
	pthread_mutex_lock(&s->bow_lock);
	b->said = s->bow_said;
	pthread_mutex_unlock(&s->bow_lock);
}
