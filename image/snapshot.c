// SPDX-License-Identifier: Apache-2.0
/*
 * The order in which a snapshot is made (upper_live.c has what happens in memory):
 *
 *     the new writable layer is made, durably      died here: a file too many
 *     the configuration names both, durably        from here on the next start seals the last one,
 *                                                  with all that was written to it
 *     writes go to the new one                     what was written before is flushed
 *     the last one is sealed
 *     the configuration says no more that it is to be
 */
#include "image/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/sink.h"
#include "image/config.h"
#include "image/config_snapshot.h"
#include "image/refs.h"
#include "image/upper.h"
#include "image/upper_live.h"

#define TRIES 10000u /* names of files */

struct making {
	struct ovbd_image *img;
	const struct ovbd_snapshot_params *p;
	char *path;                   /* of the configuration, without symbolic links */
	char *text;                   /* of it, as it is */
	struct ovbd_config *config;   /* the same */
	struct ovbd_rw_info info;     /* of the top */
	char *said_data, *said_index; /* of the new one, as the configuration is to name them */
	char *data, *index;           /* the same, from here; index NULL: it has none */
	bool created;
	char *sealing, *sealed; /* texts of configurations */
};

static void release(struct making *m)
{
	free(m->path);
	free(m->text);
	ovbd_config_free(m->config);
	free(m->said_data);
	free(m->said_index);
	free(m->data);
	free(m->index);
	free(m->sealing);
	free(m->sealed);
}

void ovbd_snapshot_release(struct ovbd_snapshot *s)
{
	free(s->layer);
	free(s->data);
	free(s->index);
	*s = (struct ovbd_snapshot){0};
}

static void at(const struct making *m, const char *step)
{
	if (m->p->at)
		m->p->at(step);
}

static int no_memory(struct ovbd_error *err)
{
	return ovbd_fail(err, -ENOMEM, "out of memory for a snapshot");
}

/* ---- configurations ---- */

static int read_text(const char *path, char **ret, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	AUTO_BLOB *b = NULL;
	int r = ovbd_blob_open_file(path, &b, err);

	if (r < 0)
		return r;
	if (b->size == 0 || b->size > OVBD_CONFIG_SIZE_MAX)
		return ovbd_fail(err, -EBADMSG, "%s: %" PRIu64 " bytes are no configuration", path,
		                 b->size);
	text = calloc(1, (size_t)b->size + 1);
	if (!text)
		return no_memory(err);
	r = ovbd_blob_pread(b, text, (size_t)b->size, 0, err);
	if (r == 0)
		*ret = OVBD_MOVE(text);
	return r;
}

/* Takes the place of what is there, whole or not at all, and has its mode. */
static int write_text(const char *path, const char *text, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params p = {.overwrite = true};
	AUTO_SINK *s = NULL;
	struct stat st;
	int r = stat(path, &st) < 0 ? ovbd_fail_errno(err, -errno, "%s", path) : 0;

	if (r == 0)
		r = ovbd_sink_create_file(path, &p, &s, err);
	if (r == 0)
		r = ovbd_sink_append(s, text, strlen(text), err);
	if (r == 0)
		r = ovbd_sink_finish(s, err);
	if (r == 0 && chmod(path, st.st_mode & 07777) < 0)
		r = ovbd_fail_errno(err, -errno, "%s", path);
	return r;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether path, which a configuration names, is the present top's file. */
static bool is_top(const struct making *m, const char *path)
{
	AUTO_FREE char *from_here = ovbd_refs_resolve(m->img->upper_config, path);

	return from_here && same_file(from_here, ovbd_upper_live_data(m->img->live));
}

static int parse(const char *text, const char *name, struct ovbd_config **ret,
                 struct ovbd_error *err)
{
	return ovbd_config_parse(text, strlen(text), name, ret, err);
}

static int load_config(struct making *m, struct ovbd_error *err)
{
	const char *name = m->img->upper_config;
	int r;

	m->path = realpath(name, NULL);
	if (!m->path)
		return ovbd_fail_errno(err, -errno, "%s", name);
	r = read_text(m->path, &m->text, err);
	if (r == 0)
		r = parse(m->text, name, &m->config, err);
	if (r < 0)
		return r;
	if (!is_top(m, m->config->upper_data))
		return ovbd_fail(err, -ESTALE,
		                 "%s: names another writable layer than the one that is in use, %s",
		                 name, ovbd_upper_live_data(m->img->live));
	if (m->config->nlowers + 1 > OVBD_LAYERS_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "%s: has %zu layers beneath the writable one; a stack has at most "
		                 "%u: merge some of them first",
		                 name, m->config->nlowers, OVBD_LAYERS_MAX);
	return 0;
}

/* ---- the new layer's files ---- */

static void make_uuid(char ret[OVBD_UUID_SIZE])
{
	uint8_t u[16];

	if (getrandom(u, sizeof(u), 0) != sizeof(u))
		memset(u, 0x11, sizeof(u));
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	snprintf(ret, OVBD_UUID_SIZE,
	         "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", u[0], u[1],
	         u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
	         u[15]);
}

/* As readable for others as the last one is, and not more. */
static int take_mode(const char *to, const char *from, struct ovbd_error *err)
{
	struct stat st;

	if (stat(from, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", from);
	if (chmod(to, st.st_mode & 07777) < 0)
		return ovbd_fail_errno(err, -errno, "%s", to);
	return 0;
}

static int create(struct making *m, struct ovbd_error *err)
{
	const char *config = m->img->upper_config;
	char uuid[OVBD_UUID_SIZE];
	const struct ovbd_rw_params p = {
		.virtual_size = m->img->live->blob->size,
		.uuid = uuid,
		.parent_uuid = m->info.uuid,
		.sparse = strcmp(m->info.format, "sparse") == 0,
	};
	int r;

	make_uuid(uuid);
	free(m->data);
	free(m->index);
	m->index = NULL;
	m->data = ovbd_refs_resolve(config, m->said_data);
	if (m->said_index)
		m->index = ovbd_refs_resolve(config, m->said_index);
	if (!m->data || (m->said_index && !m->index))
		return no_memory(err);
	r = ovbd_upper_create(m->data, m->index, &p, err);
	m->created = r == 0;
	return r < 0 ? r : take_mode(m->data, ovbd_upper_live_data(m->img->live), err);
}

/* NAME.N of NAME or NAME.M. */
static char *number(const char *name, unsigned n)
{
	size_t len = strlen(name), digits = 0;
	char *ret;

	while (digits < len && name[len - 1 - digits] >= '0' && name[len - 1 - digits] <= '9')
		digits++;
	if (digits > 0 && digits + 1 < len && name[len - 1 - digits] == '.')
		len -= digits + 1;
	return asprintf(&ret, "%.*s.%u", (int)len, name, n) < 0 ? NULL : ret;
}

/* Beside the last ones, with the first number that is free. */
static int create_beside(struct making *m, struct ovbd_error *err)
{
	const struct ovbd_config *c = m->config;
	int r = -EEXIST;

	for (unsigned n = 1; r == -EEXIST && n < TRIES; n++) {
		free(m->said_data);
		free(m->said_index);
		m->said_data = number(c->upper_data, n);
		m->said_index = c->upper_index[0] ? number(c->upper_index, n) : NULL;
		if (!m->said_data || (c->upper_index[0] && !m->said_index))
			return no_memory(err);
		r = create(m, err);
	}
	return r;
}

static int create_files(struct making *m, struct ovbd_error *err)
{
	const struct ovbd_snapshot_params *p = m->p;
	const bool two = m->config->upper_index[0] != '\0';

	if (!p->data && !p->index)
		return create_beside(m, err);
	if (!p->data || (p->index != NULL) != two)
		return ovbd_fail(err, -EINVAL,
		                 "the writable layer is of the format %s: of a snapshot's %s",
		                 m->info.format,
		                 two ? "data and index both are given, or neither"
		                     : "only data is given, or nothing");
	m->said_data = strdup(p->data);
	m->said_index = two ? strdup(p->index) : NULL;
	if (!m->said_data || (two && !m->said_index))
		return no_memory(err);
	return create(m, err);
}

/* What a sealed layer has no use for, nor one that is not there. */
static void remove_map(const char *data)
{
	AUTO_FREE char *map = NULL;

	if (asprintf(&map, "%s.zeros", data) < 0)
		map = NULL;
	else
		unlink(map);
}

static void remove_files(const struct making *m)
{
	if (!m->created)
		return;
	unlink(m->data);
	if (m->index)
		unlink(m->index);
	remove_map(m->data);
}

/* ---- what shall be ---- */

static int plan_own(struct making *m, struct ovbd_error *err)
{
	int r = create_files(m, err);

	if (r < 0)
		return r;
	r = ovbd_config_freeze(m->text, m->said_data, m->said_index,
	                       ovbd_upper_live_beneath(m->img->live), &m->sealing, &m->sealed, err);
	return r < 0 ? ovbd_fail_named(err, r, m->path) : 0;
}

/* The configuration that was given, if it is the one that is in use with one layer more. */
static int plan_given(struct making *m, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	const char *config = m->img->upper_config;
	int r = read_text(m->p->config, &m->sealed, err);

	if (r == 0)
		r = parse(m->sealed, m->p->config, &c, err);
	if (r < 0)
		return r;
	if (c->nlowers != m->config->nlowers + 1 || !is_top(m, c->lowers[c->nlowers - 1].file))
		return ovbd_fail(
			err, -EINVAL,
			"%s: its topmost layer must be the file of the writable layer, %s, "
			"above those %zu that lie beneath it now",
			m->p->config, ovbd_upper_live_data(m->img->live), m->config->nlowers);
	if (!c->upper_data[0] || is_top(m, c->upper_data))
		return ovbd_fail(err, -EINVAL, "%s: names no other writable layer", m->p->config);
	m->data = ovbd_refs_resolve(config, c->upper_data);
	m->index = c->upper_index[0] ? ovbd_refs_resolve(config, c->upper_index) : NULL;
	if (!m->data || (c->upper_index[0] && !m->index))
		return no_memory(err);
	r = ovbd_config_mark_sealing(m->sealed, m->config->upper_index,
	                             ovbd_upper_live_beneath(m->img->live), &m->sealing, err);
	return r < 0 ? ovbd_fail_named(err, r, m->p->config) : 0;
}

/* ---- all ---- */

/* Nothing has been switched. */
static int undo(struct making *m, bool replaced, int code)
{
	/* if the last configuration cannot be put back, the files of the new one must stay */
	if (!replaced || write_text(m->path, m->text, NULL) == 0)
		remove_files(m);
	return code;
}

static int prepare(struct making *m, struct ovbd_error *err)
{
	struct ovbd_device *live = m->img->live;
	struct ovbd_rw_info info;
	int r = ovbd_upper_live_prepare(live, m->data, m->index, err);

	if (r < 0)
		return r;
	ovbd_upper_live_next_info(live, &info);
	if (info.nsegments > 0)
		r = ovbd_fail(err, -EINVAL, "%s: is not empty", m->data);
	if (r == 0)
		r = ovbd_upper_live_calm(live, err);
	if (r < 0)
		ovbd_upper_live_forget(live);
	return r;
}

static int switch_over(struct making *m, uint64_t *ret_pause_ns, struct ovbd_error *err)
{
	struct ovbd_device *live = m->img->live;
	int r = prepare(m, err);

	if (r < 0)
		return undo(m, false, r);
	at(m, "snapshot-made");
	r = write_text(m->path, m->sealing, err);
	at(m, "snapshot-named");
	if (r == 0)
		r = ovbd_upper_live_switch(live, ret_pause_ns, err);
	if (r < 0) {
		ovbd_upper_live_forget(live);
		return undo(m, true, r);
	}
	at(m, "snapshot-switched");
	return 0;
}

static int settle(struct making *m, const char *layer, struct ovbd_error *err)
{
	int r = ovbd_upper_live_settle(m->img->live, err);

	if (r < 0)
		return ovbd_fail_within(err, r, "the snapshot is taken, but not sealed yet");
	remove_map(layer);
	at(m, "snapshot-sealed");
	r = write_text(m->path, m->sealed, err);
	if (r == 0 && m->p->config && !same_file(m->p->config, m->path))
		unlink(m->p->config);
	return r;
}

static int make(struct making *m, struct ovbd_snapshot *ret, struct ovbd_error *err)
{
	struct ovbd_device *live = m->img->live;
	int r = ovbd_upper_live_settle(live, err); /* of the last one, if it failed */

	if (r == 0)
		r = load_config(m, err);
	if (r < 0)
		return r;
	ovbd_upper_live_info(live, &m->info);
	ret->layer = strdup(ovbd_upper_live_data(live));
	r = m->p->config ? plan_given(m, err) : plan_own(m, err);
	if (r == 0 && !ret->layer)
		r = no_memory(err);
	if (r < 0)
		return undo(m, false, r);
	r = switch_over(m, &ret->pause_ns, err);
	if (r < 0)
		return r;
	ret->nlayers = m->config->nlowers + 1;
	ret->data = OVBD_MOVE(m->data);
	ret->index = OVBD_MOVE(m->index);
	return settle(m, ret->layer, err);
}

int ovbd_image_snapshot(struct ovbd_image *img, const struct ovbd_snapshot_params *p,
                        struct ovbd_snapshot *ret, struct ovbd_error *err)
{
	struct ovbd_snapshot s = {0};
	struct making m = {.img = img, .p = p};
	int r;

	if (!img->live)
		return ovbd_fail(err, -EINVAL,
		                 "has no writable layer, of which a snapshot could be");
	ovbd_upper_live_lock(img->live);
	r = make(&m, &s, err);
	ovbd_upper_live_unlock(img->live);
	release(&m);
	if (r < 0)
		ovbd_snapshot_release(&s);
	else
		*ret = s;
	return r;
}
