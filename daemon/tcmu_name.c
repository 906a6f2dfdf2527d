// SPDX-License-Identifier: Apache-2.0
/*
 * A disk in sysfs (/sys/class/uio/uioN) and in configfs. The name of the former leads to the
 * latter. The configuration may contain anything, slashes above all; the parts before it may not.
 *
 * Who reads a directory of sysfs while an entry goes may miss another one that stays: the kernel
 * goes on where the lost entry would be, and may be one too far. At a start entries go all the
 * time, as who was making a disk fails and tries again; so the directory is read until nothing new
 * is seen.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/auto.h"
#include "base/line.h"
#include "daemon/tcmu_impl.h"

#define UIO_DIR     "/sys/class/uio"
#define SAME_PASSES 3
#define CONFIG_DIR  "/sys/kernel/config/target/core"

/* The part of *at up to the next '/', or to the end; false if it does not fit. */
static bool next_part(const char **at, char *ret, size_t size)
{
	const size_t n = strcspn(*at, "/");

	if (n >= size)
		return false;
	memcpy(ret, *at, n);
	ret[n] = '\0';
	*at += n + ((*at)[n] == '/');
	return true;
}

int ovbd_tcmu_name_parse(const char *text, struct ovbd_tcmu_name *ret, struct ovbd_error *err)
{
	char kind[16], hba[16], *end;
	struct ovbd_tcmu_name n;
	const char *at = text;
	unsigned long number;

	if (!next_part(&at, kind, sizeof(kind)) || strcmp(kind, "tcm-user") != 0 ||
	    !next_part(&at, hba, sizeof(hba)) || !next_part(&at, n.device, sizeof(n.device)) ||
	    !next_part(&at, n.subtype, sizeof(n.subtype)) || strlen(at) >= sizeof(n.config))
		return ovbd_fail(err, -EBADMSG, "'%s' is no name of a TCMU disk", text);
	number = strtoul(hba, &end, 10);
	if (hba[0] < '0' || hba[0] > '9' || *end != '\0' || number > UINT32_MAX || !n.device[0])
		return ovbd_fail(err, -EBADMSG, "'%s' is no name of a TCMU disk", text);
	n.hba = (unsigned)number;
	memcpy(n.config, at, strlen(at) + 1);
	*ret = n;
	return 0;
}

/* The file's first line. */
static int read_line(const char *path, char *buf, size_t size, struct ovbd_error *err)
{
	const int r = ovbd_line_read(AT_FDCWD, path, buf, size);

	return r < 0 ? ovbd_fail_errno(err, r, "%s", path) : 0;
}

int ovbd_tcmu_name_of(unsigned minor, struct ovbd_tcmu_name *ret, struct ovbd_error *err)
{
	char path[64], text[3 * OVBD_TCMU_NAME_SIZE];
	int r;

	snprintf(path, sizeof(path), UIO_DIR "/uio%u/name", minor);
	r = read_line(path, text, sizeof(text), err);
	return r < 0 ? r : ovbd_tcmu_name_parse(text, ret, err);
}

int ovbd_tcmu_map_size(unsigned minor, uint64_t *ret, struct ovbd_error *err)
{
	char path[64], text[32], *end;
	unsigned long long size;
	int r;

	snprintf(path, sizeof(path), UIO_DIR "/uio%u/maps/map0/size", minor);
	r = read_line(path, text, sizeof(text), err);
	if (r < 0)
		return r;
	errno = 0;
	size = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0')
		return ovbd_fail(err, -EBADMSG, "%s: '%s' is no size", path, text);
	*ret = size;
	return 0;
}

/* Minors, in no order. */
struct minors {
	unsigned *list;
	size_t n;
};

static void free_minors(struct minors *m)
{
	free(m->list);
}

static int put_minor(struct minors *m, unsigned minor)
{
	unsigned *more;

	for (size_t i = 0; i < m->n; i++)
		if (m->list[i] == minor)
			return 0;
	more = realloc(m->list, (m->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	m->list = more;
	m->list[m->n++] = minor;
	return 0;
}

static int read_minors(struct minors *m)
{
	const struct dirent *e;
	DIR *dir = opendir(UIO_DIR);
	unsigned minor;
	int r = 0, rest;

	if (!dir)
		return errno == ENOENT ? 0 : -errno; /* no driver has ever made one */
	while (r == 0 && (e = readdir(dir)))
		if (sscanf(e->d_name, "uio%u%n", &minor, &rest) == 1 && e->d_name[rest] == '\0')
			r = put_minor(m, minor);
	closedir(dir);
	return r;
}

int ovbd_tcmu_scan(int (*found)(void *arg, unsigned minor, const struct ovbd_tcmu_name *name),
                   void *arg, struct ovbd_error *err)
{
	OVBD_AUTO(free_minors) struct minors m = {0};
	struct ovbd_tcmu_name name;
	int r = 0;

	for (unsigned same = 0; r == 0 && same < SAME_PASSES;) {
		const size_t before = m.n;

		r = read_minors(&m);
		same = m.n == before ? same + 1 : 0;
	}
	if (r < 0)
		return ovbd_fail_errno(err, r, UIO_DIR);
	for (size_t i = 0; r == 0 && i < m.n; i++)
		if (ovbd_tcmu_name_of(m.list[i], &name, NULL) ==
		    0) /* else another driver's, or gone */
			r = found(arg, m.list[i], &name);
	return r;
}

struct search {
	unsigned hba, minor;
	const char *device;
};

static int is_it(void *arg, unsigned minor, const struct ovbd_tcmu_name *name)
{
	struct search *s = arg;

	s->minor = minor;
	return name->hba == s->hba && strcmp(name->device, s->device) == 0;
}

int ovbd_tcmu_find(unsigned hba, const char *device, unsigned *ret, struct ovbd_error *err)
{
	struct search s = {.hba = hba, .device = device};
	const int r = ovbd_tcmu_scan(is_it, &s, err);

	if (r < 0)
		return r;
	if (r == 0)
		return ovbd_fail(err, -ENOENT, "user_%u/%s: the kernel has no such disk", hba,
		                 device);
	*ret = s.minor;
	return 0;
}

int ovbd_tcmu_name_id(const struct ovbd_tcmu_name *n, char *ret, size_t size,
                      struct ovbd_error *err)
{
	const int len = snprintf(ret, size, "user_%u.%s", n->hba, n->device);

	if (len < 0 || (size_t)len >= size)
		return ovbd_fail(err, -ENAMETOOLONG,
		                 "user_%u/%s: the name is too long, of at most %zu characters",
		                 n->hba, n->device, size - 1);
	for (char *c = ret; *c; c++)
		if (!isascii((unsigned char)*c) ||
		    !(isalnum((unsigned char)*c) || strchr("._-", *c)))
			*c = '_';
	return 0;
}

int ovbd_tcmu_write(const char *path, const char *value, struct ovbd_error *err)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (write(fd, value, strlen(value)) < 0)
		return ovbd_fail_errno(err, -errno, "%s: writing '%s'", path, value);
	return 0;
}

int ovbd_tcmu_action(const struct ovbd_tcmu_name *n, const char *what, const char *value,
                     struct ovbd_error *err)
{
	char path[OVBD_TCMU_NAME_SIZE + 128];

	snprintf(path, sizeof(path), CONFIG_DIR "/user_%u/%s/action/%s", n->hba, n->device, what);
	return ovbd_tcmu_write(path, value, err);
}

bool ovbd_tcmu_is_enabled(const struct ovbd_tcmu_name *n)
{
	char path[OVBD_TCMU_NAME_SIZE + 128], text[8] = "";

	snprintf(path, sizeof(path), CONFIG_DIR "/user_%u/%s/enable", n->hba, n->device);
	return read_line(path, text, sizeof(text), NULL) == 0 && strcmp(text, "1") == 0;
}
