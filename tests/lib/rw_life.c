// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/rw_life.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/unit/test.h"

/* ---- bytes ---- */

void life_fill(uint64_t number, uint8_t ret[LIFE_SECTOR])
{
	for (size_t i = 0; i < LIFE_SECTOR; i += 8)
		ovbd_put_le64(ret + i, number ? number * 0x9e3779b97f4a7c15u + i : 0);
}

uint64_t life_number_of(const uint8_t raw[LIFE_SECTOR])
{
	return ovbd_get_le64(raw) * 0xf1de83e19937733du; /* the factor is odd: it has an inverse */
}

uint64_t life_below(struct life *t, uint64_t n)
{
	return test_random(&t->random) % n;
}

void life_die(const struct life *t, const char *what)
{
	fail_msg("format %d, seed %llu, step %llu, %u layers: %s", (int)t->format,
	         (unsigned long long)t->seed, (unsigned long long)t->step, t->nlayers, what);
}

void life_must(const struct life *t, int r, const struct ovbd_error *err)
{
	if (r < 0)
		life_die(t, err->msg);
}

/* ---- files ---- */

const char *life_path_of(const struct life *t, const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", t->dir, name);
	return path;
}

const char *life_layer_path(const struct life *t, unsigned number)
{
	char name[32];

	snprintf(name, sizeof(name), "layer%u", number);
	return life_path_of(t, name);
}

/* The lowest n layers; NULL: none. */
struct ovbd_blob *life_open_layers(const struct life *t, unsigned n)
{
	struct ovbd_layer *layers[LIFE_LAYERS_MAX + 1];
	struct ovbd_error err = {""};
	struct ovbd_blob *b;

	for (unsigned i = 0; i < n; i++) {
		life_must(t, ovbd_blob_open_file(life_layer_path(t, t->names[i]), &b, &err), &err);
		life_must(t, ovbd_layer_open(b, b->size, &layers[i], &err), &err);
	}
	if (n == 0)
		return NULL;
	life_must(t, ovbd_stack_open(layers, n, &b, &err), &err);
	return b;
}

static struct ovbd_rw_file open_file(const struct life *t, const char *name)
{
	const char *path = life_path_of(t, name);
	struct ovbd_error err = {""};
	struct ovbd_rw_file f;
	const int fd = open(path, O_CREAT | O_RDWR, 0644);

	assert_true(fd >= 0);
	close(fd);
	life_must(t,
	          ovbd_device_open_growing(path, OVBD_DEVICE_GROWING_MAX, &f.device, &f.end, &err),
	          &err);
	return f;
}

void life_open_top(struct life *t)
{
	const struct ovbd_rw_open_params log = {
		.no_thread = t->seed % 2,
		.checkpoint_blocks = (unsigned)(t->seed % 5),
	};
	struct ovbd_rw_pair files = {.data = open_file(t, "data"), .no_thread = t->seed % 2};
	struct ovbd_blob *lower = life_open_layers(t, t->nlayers);
	struct ovbd_error err = {""};

	if (t->format == LIFE_LOG) {
		life_must(t, ovbd_rw_open(&files.data, &log, lower, &t->device, &err), &err);
		return;
	}
	files.index = open_file(t, "index");
	if (t->format == LIFE_SPARSE)
		files.map = open_file(t, "map");
	life_must(t, ovbd_rw_open_pair(&files, lower, &t->device, &err), &err);
}

void life_make_top(struct life *t)
{
	const struct ovbd_rw_params p = {
		.virtual_size = t->nsectors * LIFE_SECTOR,
		.uuid = "12345678-0000-4000-8000-00000000abcd",
		.sparse = t->format == LIFE_SPARSE || t->format == LIFE_SPARSE_NO_MAP,
	};
	struct ovbd_rw_file data = open_file(t, "data"), index = {NULL, 0};
	struct ovbd_error err = {""};

	if (t->format != LIFE_LOG)
		index = open_file(t, "index");
	life_must(t,
	          t->format == LIFE_LOG ? ovbd_rw_create(data.device, &p, &err)
	                                : ovbd_rw_create_pair(data.device, index.device, &p, &err),
	          &err);
	ovbd_device_close(data.device);
	ovbd_device_close(index.device);
	t->most = t->nsectors;
	life_open_top(t);
}

void life_close_top(struct life *t)
{
	ovbd_device_close(t->device);
	t->device = NULL;
}

void life_remove_top(struct life *t)
{
	unlink(life_path_of(t, "data"));
	unlink(life_path_of(t, "index"));
	unlink(life_path_of(t, "map"));
}

/* ---- checks ---- */

void life_check_range(struct life *t, uint64_t at, uint64_t n)
{
	uint8_t *got = malloc(n * LIFE_SECTOR), want[LIFE_SECTOR];
	struct ovbd_error err = {""};
	char text[128];

	assert_non_null(got);
	life_must(t, ovbd_blob_pread(t->device->blob, got, n * LIFE_SECTOR, at * LIFE_SECTOR, &err),
	          &err);
	for (uint64_t i = 0; i < n; i++) {
		life_fill(t->model[at + i], want);
		if (memcmp(got + i * LIFE_SECTOR, want, LIFE_SECTOR) == 0)
			continue;
		snprintf(text, sizeof(text), "sector %llu is %llu, not write %llu",
		         (unsigned long long)(at + i),
		         (unsigned long long)life_number_of(got + i * LIFE_SECTOR),
		         (unsigned long long)t->model[at + i]);
		life_die(t, text);
	}
	for (uint64_t off = 0; off < n * LIFE_SECTOR;) { /* what runs are said to be they are */
		struct ovbd_run run;

		life_must(t,
		          ovbd_blob_run_at(t->device->blob, at * LIFE_SECTOR + off,
		                           n * LIFE_SECTOR - off, &run, &err),
		          &err);
		if (run.kind != OVBD_RUN_DATA && !ovbd_is_zero(got + off, run.len))
			life_die(t, "a run of zeros is none");
		off += run.len;
	}
	free(got);
}

void life_check_all(struct life *t)
{
	if (t->device->blob->size != t->nsectors * LIFE_SECTOR)
		life_die(t, "another size");
	life_check_range(t, 0, t->nsectors);
}
