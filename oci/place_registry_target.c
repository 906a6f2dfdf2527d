// SPDX-License-Identifier: Apache-2.0
/*
 * docker://HOST/REPOSITORY[:TAG], written. Layers are made in files without names and pushed while
 * others are made. What is looked at first, the manifest that the tag has now, says which layers
 * are there already, and how the registry is reached.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "oci/push.h"
#include "oci/registry.h"

#define PREFIX "docker://"

struct registry_target {
	struct oci_target target;
	struct oci_registry g;
	char *temp_dir;
	bool dry_run;
	oci_waiting_fn waiting;
	void *arg;
	struct oci_pusher *pusher; /* of who calls us; NULL until it is needed */
	struct oci_push_queue *queue;
	struct oci_ref old;            /* what the tag means; digest "": nothing */
	struct ovbd_http_document doc; /* that */
	char *place;                   /* "docker://HOST/REPOSITORY" */
	struct oci_ref put;            /* the last manifest or index that was put */
	char *put_text;
};

static struct registry_target *target_of(struct oci_target *t)
{
	return OVBD_CONTAINER_OF(t, struct registry_target, target);
}

/* ---- how it is reached ---- */

/* What the tag means now. Who may not read there may be let push all the same. */
static int look(struct registry_target *rt, struct ovbd_error *err)
{
	struct ovbd_error why;
	int r = ovbd_repository_manifest(&rt->g.repo, rt->g.repo.name.tag, &rt->doc, &why);

	if (r == 0)
		r = oci_registry_ref(&rt->doc, &rt->old, &why);
	if (r == -ENOENT || r == -EBADMSG)
		return 0;
	if (r == -EACCES && !rt->dry_run && rt->g.repo.scheme)
		return 0;
	return r < 0 ? ovbd_fail(err, r, "%s: %s", rt->g.text, why.msg) : 0;
}

static int need_pusher(struct registry_target *rt, struct ovbd_error *err)
{
	return rt->pusher ? 0 : oci_pusher_open(&rt->g.repo, NULL, &rt->pusher, err);
}

static int need_queue(struct registry_target *rt, struct ovbd_error *err)
{
	return rt->queue ? 0 : oci_push_queue_open(&rt->g.repo, rt->g.stop, &rt->queue, err);
}

/* ---- what is there ---- */

static int target_images(struct oci_target *t, oci_found_fn found, void *arg,
                         struct ovbd_error *err)
{
	const struct registry_target *rt = target_of(t);

	return rt->old.digest[0] ? found(arg, &rt->old, err) : 0;
}

static int target_current(struct oci_target *t, struct oci_ref *ret, struct ovbd_error *err)
{
	const struct registry_target *rt = target_of(t);

	(void)err;
	*ret = rt->old;
	return rt->old.digest[0] != '\0';
}

static int target_document(struct oci_target *t, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);

	if (!rt->doc.body || strcmp(ref->digest, rt->old.digest) != 0)
		return oci_registry_document(&rt->g, ref, ret, ret_len, err);
	*ret = malloc(rt->doc.len + 1);
	if (!*ret)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	memcpy(*ret, rt->doc.body, rt->doc.len + 1);
	*ret_len = rt->doc.len;
	return 0;
}

static int target_has(struct oci_target *t, const struct oci_ref *ref, struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);
	const int r = need_pusher(rt, err);

	return r < 0 ? r : oci_push_has(rt->pusher, ref, err);
}

/* ---- what is put there ---- */

static int target_take(struct oci_target *t, struct oci_source *src, const struct oci_ref *ref,
                       struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);
	const struct ovbd_repository *from = oci_registry_of(src);
	int r;

	if (!from || strcmp(from->name.host, rt->g.repo.name.host) != 0)
		return 0;
	r = need_pusher(rt, err);
	return r < 0 ? r : oci_push_mount(rt->pusher, ref, from->name.repository, err);
}

static const char *target_place(struct oci_target *t)
{
	return target_of(t)->place;
}

/* From another repository of the same registry. */
static int target_borrow(struct oci_target *t, const char *place, const struct oci_ref *ref,
                         struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);
	struct ovbd_registry_name from;
	int r;

	if (strncmp(place, PREFIX, strlen(PREFIX)) != 0 || strcmp(place, rt->place) == 0 ||
	    ovbd_registry_name_parse(place, &from, NULL) < 0 ||
	    strcmp(from.host, rt->g.repo.name.host) != 0)
		return 0;
	r = need_pusher(rt, err);
	return r < 0 ? r : oci_push_mount(rt->pusher, ref, from.repository, err);
}

static int target_begin(struct oci_target *t, struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);
	struct ovbd_error why = {""};
	int r, fd = oci_temp_open(rt->temp_dir, err);

	if (fd < 0)
		return fd;
	close(fd);
	r = need_queue(rt, &why);
	if (r == 0)
		r = oci_push_queue_check(rt->queue, &why);
	return r < 0 ? ovbd_fail(err, r, "%s: %s", rt->g.text, why.msg) : 0;
}

static int target_create(struct oci_target *t, struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);
	const int r = oci_push_queue_check(rt->queue, err);

	return r < 0 ? r : oci_temp_create(rt->temp_dir, rt->queue, ret, err);
}

static int put_config(struct registry_target *rt, const char *text, const struct oci_ref *ref,
                      struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	const int r = ovbd_blob_open_mem(text, ref->size, &b, err);

	return r < 0 ? r : oci_push_blob(rt->pusher, b, ref, err);
}

static int target_put(struct oci_target *t, enum oci_put kind, const char *text,
                      const struct oci_ref *ref, struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);
	int r = need_pusher(rt, err);

	if (r == 0 && kind == OCI_PUT_CONFIG)
		return put_config(rt, text, ref, err);
	if (r == 0)
		r = oci_push_manifest(rt->pusher, text, ref, ref->digest, err);
	if (r < 0)
		return r;
	free(rt->put_text);
	rt->put = *ref;
	rt->put_text = strdup(text);
	return rt->put_text ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int target_refer(struct oci_target *t, const struct oci_ref *subject, json_t *entry,
                        struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);
	const int r = need_pusher(rt, err);

	return r < 0 ? r : oci_registry_refer(&rt->g, rt->pusher, subject, entry, err);
}

static int target_referrers(struct oci_target *t, const struct oci_ref *subject, oci_found_fn found,
                            void *arg, struct ovbd_error *err)
{
	return oci_registry_referrers(&target_of(t)->g, subject, found, arg, err);
}

/* The file of one that was made in this run, or its URL; to be freed. */
static char *place_of(const struct registry_target *rt, const struct oci_ref *layer)
{
	const int fd = rt->queue ? oci_push_queue_find(rt->queue, layer->digest) : -1;
	char *path;

	if (fd < 0)
		return ovbd_repository_url(&rt->g.repo, "blobs", layer->digest);
	return asprintf(&path, "/proc/self/fd/%d", fd) < 0 ? NULL : path;
}

static int target_stack(struct oci_target *t, const struct oci_ref *layers, size_t n,
                        struct ovbd_image **ret, struct ovbd_error *err)
{
	const struct registry_target *rt = target_of(t);
	const struct ovbd_image_params p = {
		.registry = rt->g.repo.g,
		.http = &rt->g.repo.base,
	};
	AUTO_FREE char **names = calloc(n + 1, sizeof(names[0]));
	int r = names ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < n; i++) {
		names[i] = place_of(rt, &layers[i]);
		if (!names[i])
			r = ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (r == 0)
		r = ovbd_image_open((const char *const *)names, n, &p, ret, err);
	for (size_t i = 0; names && i < n; i++)
		free(names[i]);
	return r;
}

static int target_settle(struct oci_target *t, struct ovbd_error *err)
{
	struct registry_target *rt = target_of(t);

	return rt->queue ? oci_push_queue_settle(rt->queue, rt->waiting, rt->arg, err) : 0;
}

static int target_name(struct oci_target *t, const struct oci_ref *ref, json_t *platform,
                       struct ovbd_error *err)
{
	const struct registry_target *rt = target_of(t);

	(void)platform;
	if (strcmp(rt->old.digest, ref->digest) == 0)
		return 0;
	if (!rt->put_text || strcmp(rt->put.digest, ref->digest) != 0)
		return ovbd_fail(err, -EINVAL, "%s: is not what was put last", ref->digest);
	return oci_push_manifest(rt->pusher, rt->put_text, ref, rt->g.repo.name.tag, err);
}

static void target_close(struct oci_target *take_t)
{
	struct registry_target *rt = target_of(take_t);

	oci_push_queue_close(rt->queue);
	oci_pusher_close(rt->pusher);
	oci_registry_clear(&rt->g);
	free(rt->doc.body);
	free(rt->put_text);
	free(rt->temp_dir);
	free(rt->place);
	free(rt);
}

static const struct oci_target_ops target_ops = {
	.images = target_images,
	.current = target_current,
	.document = target_document,
	.has = target_has,
	.take = target_take,
	.place = target_place,
	.borrow = target_borrow,
	.begin = target_begin,
	.create = target_create,
	.made = oci_temp_ref,
	.put = target_put,
	.refer = target_refer,
	.referrers = target_referrers,
	.stack = target_stack,
	.settle = target_settle,
	.name = target_name,
	.close = target_close,
};

int oci_registry_open_target(const char *name, const struct oci_how *how, struct oci_target **ret,
                             struct ovbd_error *err)
{
	struct registry_target *rt = calloc(1, sizeof(*rt));
	int r;

	if (!rt)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	rt->target.ops = &target_ops;
	rt->dry_run = how->dry_run;
	rt->waiting = how->waiting;
	rt->arg = how->arg;
	rt->temp_dir = strdup(how->temp_dir);
	r = rt->temp_dir ? oci_registry_init(&rt->g, name, how, err)
	                 : ovbd_fail(err, -ENOMEM, "out of memory");
	rt->g.repo.direct = true;
	if (r == 0 && rt->g.repo.name.digest[0])
		r = ovbd_fail(err, -EINVAL, "%s: the target has the digest that comes out", name);
	if (r == 0 && asprintf(&rt->place, PREFIX "%s/%s", rt->g.repo.name.host,
	                       rt->g.repo.name.repository) < 0) {
		rt->place = NULL;
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (r == 0)
		r = look(rt, err);
	if (r < 0)
		target_close(&rt->target);
	else
		*ret = &rt->target;
	return r;
}
