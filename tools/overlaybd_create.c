// SPDX-License-Identifier: Apache-2.0
/* overlaybd-create: an empty writable layer, or a raw disk; with a file system, if asked for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "image/upper.h"
#include "tools/apply_device.h"
#include "tools/fs_options.h"
#include "tools/overlaybd.h"

#define GIB     (UINT64_C(1) << 30)
#define GIB_MAX ((UINT64_C(1) << 29) - 1) /* of the format */

enum { OPT_RAW = OVBD_OPTION_OWN, OPT_MKFS };

static const struct ovbd_option options[] = {
	{'u', "parent-uuid", "UUID", "The UUID of the layer below."},
	{'s', "sparse", NULL, "Make a sparse DATA, which is as long as the device."},
	{OPT_RAW, "raw", NULL, "Make DATA a raw disk, and INDEX an empty file."},
	{OPT_MKFS, "mkfs", NULL, "Put an empty ext4 into it."},
	OVBD_OVERLAYBD_TURBO_OPTIONS,
	{0},
};

struct request {
	struct ovbd_rw_params p;
	char uuid[OVBD_UUID_SIZE];
	bool raw, mkfs;
	const char *data, *index;
};

/* ---- the command line ---- */

static int take_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case 'u':
		q->p.parent_uuid = c->value;
		return 0;
	case 's':
		q->p.sparse = true;
		return 0;
	case OPT_RAW:
		q->raw = true;
		return 0;
	case OPT_MKFS:
		q->mkfs = true;
		return 0;
	default:
		return ovbd_overlaybd_option(c, id, NULL);
	}
}

static int parse_size(struct ovbd_cli *c, struct request *q)
{
	const char *text = c->operands[2];
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n > GIB_MAX)
		return ovbd_cli_usage(c, "SIZE %s: a whole number of GiB, at most %llu", text,
		                      (unsigned long long)GIB_MAX);
	q->p.virtual_size = n * GIB;
	return 0;
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	static const char *const names[] = {"DATA", "INDEX", "SIZE", NULL};
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (take_option(c, id, q) < 0)
			return -1;
	if (id < 0 || ovbd_overlaybd_operands(c, 3, names) < 0 || parse_size(c, q) != 0)
		return -1;
	if (q->raw && (q->p.sparse || q->p.parent_uuid)) {
		ovbd_cli_usage(c, "--raw is a plain disk: -s and -u are for layers");
		return -1;
	}
	q->data = c->operands[0];
	q->index = c->operands[1];
	return 0;
}

/* ---- the run ---- */

/* Version 4: the two files know each other by it. */
static int make_uuid(char ret[OVBD_UUID_SIZE], struct ovbd_error *err)
{
	uint8_t b[16];
	size_t at = 0;

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return ovbd_fail_errno(err, -errno, "a random UUID");
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(b); i++)
		at += (size_t)snprintf(ret + at, OVBD_UUID_SIZE - at, "%s%02X",
		                       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	return 0;
}

static int make_file(const char *path, uint64_t size, struct ovbd_error *err)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (ftruncate(fd, (off_t)size) == 0 && fsync(fd) == 0)
		return 0;
	ovbd_fail_errno(err, -errno, "%s: a file of %llu bytes", path, (unsigned long long)size);
	unlink(path);
	return -EIO;
}

static int make(const struct request *q, struct ovbd_error *err)
{
	int r;

	if (!q->raw)
		return ovbd_upper_create(q->data, q->index, &q->p, err);
	r = make_file(q->data, q->p.virtual_size, err);
	if (r < 0)
		return r;
	r = make_file(q->index, 0, err);
	if (r < 0)
		unlink(q->data);
	return r;
}

static int fill(const struct request *q, struct ovbd_error *err)
{
	AUTO_DEVICE *d = NULL;
	struct ovbd_apply_device a = {.mkfs = true, .now = ovbd_source_date()};
	int r = q->raw ? ovbd_device_open_file_alone(q->data, &d, err)
	               : ovbd_upper_open(q->data, q->index, NULL, &d, err);

	if (r < 0)
		return r;
	a.device = d;
	return ovbd_fail_named(err, ovbd_apply_device(&a, err), q->data);
}

static int run(struct ovbd_cli *c)
{
	struct request q = {.mkfs = false};
	struct ovbd_error err;
	int r;

	if (parse(c, &q) < 0)
		return c->status;
	q.p.uuid = q.uuid;
	r = make_uuid(q.uuid, &err);
	if (r == 0)
		r = make(&q, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (q.mkfs) {
		r = fill(&q, &err);
		if (r < 0) {
			unlink(q.data);
			unlink(q.index);
			return ovbd_cli_fail(c, r, false, &err);
		}
	}
	printf("overlaybd-create has created files SUCCESSFULLY\n");
	return OVBD_EXIT_OK;
}

static const struct ovbd_example examples[] = {
	{"overlaybd-create writable_data writable_index 64 --mkfs", "For the lowest layer."},
	{"overlaybd-create writable_data writable_index 0", "As large as what will be beneath."},
	{NULL},
};

const struct ovbd_verb ovbd_overlaybd_create = {
	.name = "create",
	.program = "overlaybd-create",
	.summary = "Make an empty writable layer",
	.usage = "DATA INDEX SIZE",
	.text = "Makes the two files of a writable layer of SIZE GiB (0: as large as what will lie "
		"beneath it), which must not be there yet. In the place of overlaybd's program.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; 69 not possible here.",
	.run = run,
};
