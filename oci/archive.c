// SPDX-License-Identifier: Apache-2.0
#include "oci/archive.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

struct oci_archive {
	struct ovbd_blob *blob;
	struct ovbd_fs_members *members;
	char *path;
};

/* What a tar never begins with. */
static int check_magic(struct ovbd_blob *b, const char *path, struct ovbd_error *err)
{
	static const struct {
		const char *name, *magic;
		size_t len;
	} packed[] = {
		{"gzip", "\x1f\x8b", 2},
		{"zstd", "\x28\xb5\x2f\xfd", 4},
		{"xz", "\xfd\x37zXZ", 5},
		{"bzip2", "BZh", 3},
	};
	char begin[6];
	int r = b->size < sizeof(begin) ? 0 : ovbd_blob_pread(b, begin, sizeof(begin), 0, err);

	if (r < 0)
		return r;
	for (size_t i = 0; b->size >= sizeof(begin) && i < sizeof(packed) / sizeof(packed[0]); i++)
		if (memcmp(begin, packed[i].magic, packed[i].len) == 0)
			return ovbd_fail(err, -ENOTSUP,
			                 "%s: is compressed (%s), and an archive is read in place: "
			                 "unpack it to a tar first",
			                 path, packed[i].name);
	if (b->size == 0)
		return ovbd_fail(err, -EBADMSG, "%s: is empty", path);
	return 0;
}

int oci_archive_open(const char *path, struct oci_archive **ret, struct ovbd_error *err)
{
	OVBD_AUTO(oci_archive_closep) struct oci_archive *a = calloc(1, sizeof(*a));
	int r;

	if (a)
		a->path = strdup(path);
	if (!a || !a->path)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_blob_open_file(path, &a->blob, err);
	if (r == 0)
		r = check_magic(a->blob, path, err);
	if (r < 0)
		return r;
	r = ovbd_fs_members_open(a->blob, &a->members, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s", path);
	*ret = OVBD_MOVE(a);
	return 0;
}

void oci_archive_close(struct oci_archive *take_a)
{
	if (!take_a)
		return;
	ovbd_fs_members_close(take_a->members);
	ovbd_blob_close(take_a->blob);
	free(take_a->path);
	free(take_a);
}

const char *oci_archive_path(const struct oci_archive *a)
{
	return a->path;
}

int oci_archive_find(const struct oci_archive *a, const char *name, struct ovbd_fs_member *ret,
                     struct ovbd_error *err)
{
	const int r = ovbd_fs_members_find(a->members, name, ret, err);

	return r < 0 ? ovbd_fail_within(err, r, "%s", a->path) : 0;
}

int oci_archive_read(const struct oci_archive *a, const char *name, size_t max, char **ret,
                     size_t *ret_len, struct ovbd_error *err)
{
	struct ovbd_fs_member f;
	AUTO_FREE char *text = NULL;
	int r = oci_archive_find(a, name, &f, err);

	if (r < 0)
		return r;
	if (f.size > max)
		return ovbd_fail(err, -E2BIG, "%s: %s has %" PRIu64 " bytes; at most %zu are taken",
		                 a->path, name, f.size, max);
	text = malloc((size_t)f.size + 1);
	if (!text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = f.size > 0 ? ovbd_blob_pread(a->blob, text, (size_t)f.size, f.off, err) : 0;
	if (r < 0)
		return r;
	text[f.size] = '\0';
	*ret = OVBD_MOVE(text);
	*ret_len = (size_t)f.size;
	return 0;
}

/* ---- a member's bytes ---- */

struct member_reader {
	struct oci_reader reader;
	struct ovbd_blob *blob; /* the archive's */
	uint64_t at, end;
};

static ssize_t member_read(struct oci_reader *r, void *buf, size_t len, struct ovbd_error *err)
{
	struct member_reader *m = OVBD_CONTAINER_OF(r, struct member_reader, reader);
	const size_t n = (size_t)ovbd_min(len, m->end - m->at);
	int failed = 0;

	if (n > 0)
		failed = ovbd_blob_pread(m->blob, buf, n, m->at, err);
	m->at += n;
	return failed < 0 ? failed : (ssize_t)n;
}

static void member_close(struct oci_reader *r)
{
	free(OVBD_CONTAINER_OF(r, struct member_reader, reader));
}

static const struct oci_reader_ops member_ops = {.read = member_read, .close = member_close};

int oci_archive_reader(const struct oci_archive *a, uint64_t off, uint64_t size,
                       struct oci_reader **ret, struct ovbd_error *err)
{
	struct member_reader *m = malloc(sizeof(*m));

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*m = (struct member_reader){{&member_ops}, a->blob, off, off + size};
	*ret = &m->reader;
	return 0;
}
