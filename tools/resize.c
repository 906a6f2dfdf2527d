// SPDX-License-Identifier: Apache-2.0
/*
 * Larger: the device, then what is on it. Smaller: what is on it, then the device. So at any moment
 * what is on it ends within the device.
 *
 * The layer is open only while it is looked at or changed itself: what is on it is changed by who
 * opens it in its own right.
 */
#include "tools/resize.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "tools/fs_end.h"
#include "tools/size.h"

/* What the first look at it has found. */
struct state {
	uint64_t size;
	struct ovbd_fs_end fs;
};

static int look(const struct ovbd_resize *q, struct ovbd_device *d, struct state *ret,
                struct ovbd_error *err)
{
	const bool must = q->fs || (q->size < d->blob->size && !q->force);
	int r;

	ret->size = d->blob->size;
	if (d->blob->size >= OVBD_BLOB_SIZE_UNKNOWN || (d->blob->size == 0 && !q->names.whole))
		return ovbd_fail(err, -EINVAL,
		                 "is as large as what lies beneath, which is not known: "
		                 "name it with -B");
	r = ovbd_fs_end_find(d->blob, &ret->fs, err);
	if (r < 0 && must)
		return ovbd_fail_within(err, r, "what is on it");
	return 0;
}

/* Whether it may become so small. */
static int check_end(const struct ovbd_resize *q, const struct state *s, struct ovbd_error *err)
{
	if (q->force || q->size >= s->size || !s->fs.what || s->fs.end <= q->size)
		return 0;
	return ovbd_fail(err, -EINVAL,
	                 "%s on it ends at %" PRIu64 ", beyond %" PRIu64
	                 ": --fs makes an ext4 smaller first, --force cuts it off",
	                 s->fs.what, s->fs.end, q->size);
}

static int check_fs(const struct state *s, struct ovbd_error *err)
{
	if (s->fs.what && strcmp(s->fs.what, "ext4") == 0)
		return 0;
	return ovbd_fail(err, -ENOTSUP, "--fs: there is no ext4 on it, but %s",
	                 s->fs.what ? s->fs.what : "nothing that is known");
}

/* The layer is opened, looked at, and made as large as it shall be, if this is the time for it. */
static int resize_device(const struct ovbd_resize *q, const struct ovbd_upper_place *place,
                         bool first, struct state *s, struct ovbd_error *err)
{
	AUTO_DEVICE *d = NULL;
	int r = ovbd_upper_place_open(place, &d, err);

	if (r < 0)
		return r;
	r = look(q, d, s, err);
	if (r == 0 && q->fs)
		r = check_fs(s, err);
	if (r == 0 && (!first || !q->fs))
		r = check_end(q, s, err);
	if (r == 0 && (!first || !q->fs || q->size >= s->size))
		r = ovbd_rw_resize(d, q->size, err);
	return r < 0 ? ovbd_fail_named(err, r, place->data) : 0;
}

static int resize_all(const struct ovbd_resize *q, const struct ovbd_upper_place *place,
                      struct ovbd_resized *ret, struct ovbd_error *err)
{
	struct state s = {0};
	bool larger;
	int r = resize_device(q, place, true, &s, err);

	if (r < 0)
		return r;
	ret->from = s.size;
	larger = q->size >= s.size;
	if (q->fs) {
		r = ovbd_resize_fs(&q->names, larger ? 0 : q->size, err);
		if (r == 0 && !larger)
			r = resize_device(q, place, false, &s, err);
	} else if (larger && s.fs.what && s.fs.end < q->size) {
		ret->fs = s.fs.what;
		ret->fs_end = s.fs.end;
	}
	return r;
}

int ovbd_resize_run(const struct ovbd_cli *c, const struct ovbd_resize *q, struct ovbd_resized *ret)
{
	struct ovbd_upper_place place;
	struct ovbd_error err;
	int status = OVBD_EXIT_OK, r;

	*ret = (struct ovbd_resized){0};
	if (ovbd_upper_find(c, &q->names, &place, &status) == 0) {
		r = resize_all(q, &place, ret, &err);
		if (r < 0)
			status = ovbd_cli_fail(c, r, false, &err);
	}
	ovbd_upper_place_close(&place);
	return status;
}
