// SPDX-License-Identifier: Apache-2.0
#include "oci/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "oci/impl.h"

static int path_in(const char *dir, const char *name, char **ret, struct ovbd_error *err)
{
	if (asprintf(ret, "%s/%s", dir, name) >= 0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

int oci_read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct ovbd_error *err)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FREE char *buf = NULL;
	size_t len = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return ovbd_fail(err, -EBADMSG, "%s: is no regular file", path);
	if ((uint64_t)st.st_size > max)
		return ovbd_fail(err, -E2BIG, "%s: has %lld bytes; at most %zu are taken", path,
		                 (long long)st.st_size, max);
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (len < (size_t)st.st_size) {
		const ssize_t n = read(fd, buf + len, (size_t)st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ovbd_fail_errno(err, -errno, "%s: reading", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	*ret = OVBD_MOVE(buf);
	*ret_len = len;
	return 0;
}

int oci_layout_check(const char *text, size_t len, const char *path, struct ovbd_error *err)
{
	AUTO_JSON *v = NULL;
	const int r = oci_json_parse(text, len, path, &v, err);

	if (r < 0)
		return r;
	if (strncmp(oci_text(v, "imageLayoutVersion"), "1.", 2) != 0)
		return ovbd_fail(err, -ENOTSUP, "%s: its version is '%s', not 1.0.0", path,
		                 oci_text(v, "imageLayoutVersion"));
	return 0;
}

static int check_version(const char *dir, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL, *text = NULL;
	struct ovbd_error why;
	size_t len;
	int r = path_in(dir, "oci-layout", &path, err);

	if (r < 0)
		return r;
	r = oci_read_file(path, OCI_DOCUMENT_MAX, &text, &len, &why);
	if (r == -ENOENT || r == -ENOTDIR)
		return ovbd_fail(err, -ENOENT, "%s: is no OCI image layout: there is no %s", dir,
		                 path);
	if (r < 0)
		return ovbd_fail(err, r, "%s", why.msg);
	return oci_layout_check(text, len, path, err);
}

static int new_layout(const char *dir, struct oci_layout **ret, struct ovbd_error *err)
{
	struct oci_layout *l = calloc(1, sizeof(*l));

	if (l)
		l->dir = strdup(dir);
	if (!l || !l->dir) {
		oci_layout_close(l);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	*ret = l;
	return 0;
}

int oci_layout_open(const char *dir, struct oci_layout **ret, struct ovbd_error *err)
{
	const int r = check_version(dir, err);

	return r < 0 ? r : new_layout(dir, ret, err);
}

static int make_dir(const char *dir, const char *name, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	const int r = path_in(dir, name, &path, err);

	if (r < 0)
		return r;
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return ovbd_fail_errno(err, -errno, "%s: cannot be made", path);
	return 0;
}

/* Two that begin it at once write the same. */
static int put_version(const char *dir, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params how = {.overwrite = true};
	AUTO_FREE char *path = NULL;
	AUTO_SINK *s = NULL;
	int r = path_in(dir, "oci-layout", &path, err);

	if (r < 0 || access(path, F_OK) == 0)
		return r;
	r = ovbd_sink_create_file(path, &how, &s, err);
	if (r == 0)
		r = ovbd_sink_append(s, OCI_LAYOUT_VERSION, sizeof(OCI_LAYOUT_VERSION) - 1, err);
	return r < 0 ? r : ovbd_sink_finish(s, err);
}

int oci_layout_create(const char *dir, struct oci_layout **ret, struct ovbd_error *err)
{
	int r;

	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return ovbd_fail_errno(err, -errno, "%s: cannot be made", dir);
	r = make_dir(dir, "blobs", err);
	if (r == 0)
		r = make_dir(dir, "blobs/sha256", err);
	if (r == 0)
		r = put_version(dir, err);
	return r < 0 ? r : oci_layout_open(dir, ret, err);
}

void oci_layout_close(struct oci_layout *take_l)
{
	if (!take_l)
		return;
	free(take_l->dir);
	free(take_l);
}

int oci_blob_path(const struct oci_layout *l, const char *digest, char **ret,
                  struct ovbd_error *err)
{
	const char *colon = strchr(digest, ':');

	if (asprintf(ret, "%s/blobs/%.*s/%s", l->dir, (int)(colon - digest), digest, colon + 1) >=
	    0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

bool oci_blob_is_there(const struct oci_layout *l, const struct oci_ref *ref)
{
	AUTO_FREE char *path = NULL;
	struct stat st;

	return oci_blob_path(l, ref->digest, &path, NULL) == 0 && stat(path, &st) == 0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == ref->size;
}
