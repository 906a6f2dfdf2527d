// SPDX-License-Identifier: Apache-2.0
/*
 * ZFiles and layers are checked by their libraries, every byte of them. What is not compressed has
 * no checksums, but all its bytes are read, so that at least the medium is known to be good.
 */
#include "tools/check.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "image/digest.h"
#include "image/suspect.h"
#include "remote/verity.h"
#include "tools/source.h"

#define CHUNK (1u << 20)

/* One progress over all layers. */
struct total {
	const struct ovbd_cli *cli;
	ovbd_progress_fn progress;
	void *arg;
	uint64_t before, size;
};

static int advance(void *arg, uint64_t done, uint64_t total)
{
	const struct total *t = arg;

	(void)total;
	return t->progress ? t->progress(t->arg, t->before + done, t->size) : 0;
}

static uint64_t work_size(const struct ovbd_image_layer *l)
{
	return l->zfile ? ovbd_zfile_info(l->zfile).raw_size : l->stored_size;
}

/* Whether the file is the one that its configuration means: its digest is of all its bytes. */
static int check_digest(const struct ovbd_image_layer *l, struct total *t, struct ovbd_error *err)
{
	static const struct ovbd_image_params raw = {.format = OVBD_FORMAT_RAW};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	const char *name = l->name;
	int r;

	r = ovbd_source_image(t->cli, &name, 1, &raw, &img, err);
	if (r == 0)
		r = ovbd_digest_check(img->blob, l->digest, advance, t, err);
	t->before += l->stored_size;
	return r;
}

/* All that its configuration says it is, block by block: data and tree. */
static int read_proven(const struct ovbd_image_layer *l, struct total *t, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	struct ovbd_blob *b = l->verity;
	int r = 0;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (uint64_t off = 0; r == 0 && off < b->size; off += CHUNK) {
		r = ovbd_blob_pread(b, buf, (size_t)ovbd_min(CHUNK, b->size - off), off, err);
		if (r == 0 && advance(t, off, 0) != 0)
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	return r;
}

/* Whether the file has the root that somebody says it has. */
static int check_root(const struct ovbd_image_layer *l, struct total *t, struct ovbd_error *err)
{
	static const struct ovbd_image_params raw = {.format = OVBD_FORMAT_RAW};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	char text[OVBD_VERITY_TEXT_SIZE];
	struct ovbd_verity_root want, has;
	const char *name = l->name;
	int r;

	r = ovbd_verity_root_parse(l->root, &want, err);
	if (r == 0)
		r = ovbd_source_image(t->cli, &name, 1, &raw, &img, err);
	if (r == 0)
		r = ovbd_verity_measure(img->blob, NULL, advance, t, &has, err);
	if (r < 0 || memcmp(&has, &want, sizeof(has)) == 0)
		return r;
	ovbd_verity_root_text(&has, text);
	return ovbd_fail(err, -EBADMSG, "its root is %s, not %s", text, l->root);
}

static int check_verity(const struct ovbd_image_layer *l, struct total *t, struct ovbd_error *err)
{
	const int r = l->verity ? read_proven(l, t, err) : check_root(l, t, err);

	t->before += l->stored_size;
	return r;
}

static int read_all(const char *name, struct total *t, struct ovbd_error *err)
{
	static const struct ovbd_image_params raw = {.format = OVBD_FORMAT_RAW};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	struct ovbd_run run;
	int r;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_source_image(t->cli, &name, 1, &raw, &img, err);
	for (uint64_t off = 0; r == 0 && off < img->blob->size; off += run.len) {
		r = ovbd_blob_run_at(img->blob, off, img->blob->size - off, &run, err);
		if (r == 0 && run.kind == OVBD_RUN_DATA) {
			run.len = ovbd_min(run.len, CHUNK);
			r = ovbd_blob_pread(img->blob, buf, (size_t)run.len, off, err);
		}
		if (r == 0 && advance(t, off, 0) != 0)
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	return r;
}

static void check_layer(const struct ovbd_image_layer *l, struct total *t,
                        struct ovbd_check_result *ret)
{
	*ret = (struct ovbd_check_result){0};
	if (l->digest)
		ret->code = check_digest(l, t, &ret->err);
	if (ret->code == 0 && l->root)
		ret->code = check_verity(l, t, &ret->err);
	if (ret->code < 0)
		return;
	if (l->zfile) {
		const struct ovbd_zfile_info z = ovbd_zfile_info(l->zfile);

		ret->nblocks = z.nblocks;
		ret->checksum = z.checksum;
		ret->code = ovbd_zfile_check(l->zfile, advance, t, &ret->err);
		if (ret->code == 0 && l->layer) /* its bytes have been read already */
			ret->code = ovbd_layer_check_form(l->layer, &ret->err);
	} else if (l->cow) {
		ret->raw_size = l->stored_size;
		ret->code = ovbd_cow_check(l->cow, advance, t, &ret->err);
	} else if (l->update) {
		ret->raw_size = l->stored_size;
		ret->code = ovbd_dm_update_check(l->update, advance, t, &ret->err);
	} else if (l->layer) {
		ret->raw_size = l->stored_size;
		ret->code = ovbd_layer_check(l->layer, advance, t, &ret->err);
	} else {
		ret->raw_size = l->stored_size;
		ret->code = read_all(l->name, t, &ret->err);
	}
	t->before += work_size(l);
}

void ovbd_check_image(const struct ovbd_cli *c, const struct ovbd_image *img,
                      ovbd_progress_fn progress, void *arg, struct ovbd_check_result *ret)
{
	struct total t = {.cli = c, .progress = progress, .arg = arg};
	bool stop = false;

	for (size_t i = 0; i < img->nlayers; i++)
		t.size += work_size(&img->layers[i]) +
		          (img->layers[i].digest ? img->layers[i].stored_size : 0) +
		          (img->layers[i].root ? img->layers[i].stored_size : 0);
	for (size_t i = 0; i < img->nlayers; i++) {
		if (stop) {
			ret[i] = ret[i - 1];
			continue;
		}
		check_layer(&img->layers[i], &t, &ret[i]);
		stop = ret[i].code == -ECANCELED;
	}
}

int ovbd_check_suspect(const struct ovbd_cli *c, const char *name, struct ovbd_error *err)
{
	static const struct ovbd_image_params raw = {.format = OVBD_FORMAT_RAW};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	const int r = ovbd_source_image(c, &name, 1, &raw, &img, err);

	return r < 0 ? r : ovbd_suspect(img->blob, name, err);
}
