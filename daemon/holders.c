// SPDX-License-Identifier: Apache-2.0
/*
 * Four places are looked at: what processes have open (/proc/PID/fd, where a link shows the name
 * without opening it), what loop devices lie on (their backing_file in sysfs), what other disks of
 * the kernel do (holders in sysfs), and what is mounted (mountinfo): a mount of the block device,
 * of such a disk or loop device, or of the file itself elsewhere.
 */
#include "daemon/holders.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/auto.h"
#include "base/line.h"
#include "daemon/mountinfo.h"

struct list {
	char *text;
	size_t size, len, n;
};

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void close_filep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static void add(struct list *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct list *l, const char *fmt, ...)
{
	const size_t left = l->size - l->len;
	va_list ap;
	int n = 0;

	if (l->n++ > 0 && left > 2)
		n = snprintf(l->text + l->len, left, ", ");
	va_start(ap, fmt);
	n += vsnprintf(l->text + l->len + n, left - (size_t)n, fmt, ap);
	va_end(ap);
	l->len = (size_t)n < left ? l->len + (size_t)n : l->size - 1;
}

/* Where source, a device, is mounted; buf is "" if it is not. */
static void find_mount(const char *source, char *buf, size_t size)
{
	OVBD_AUTO(close_filep) FILE *f = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	struct ovbd_mount m;
	size_t n = 0;

	buf[0] = '\0';
	while (f && !buf[0] && getline(&line, &n, f) > 0)
		if (ovbd_mountinfo_decode(line, &m) == 0 && strcmp(m.source, source) == 0)
			snprintf(buf, size, "%s", m.path);
}

/* The file itself, mounted in another place: the same file system, which has only this file. */
static void add_mounts(struct list *l, const char *path)
{
	OVBD_AUTO(close_filep) FILE *f = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *own = NULL, *line = NULL;
	struct ovbd_mount at, m;
	char where[PATH_MAX];
	size_t n = 0;

	find_mount(path, where, sizeof(where));
	if (where[0])
		add(l, "mounted at %s", where);
	if (!f || ovbd_mountinfo_find(path, &at, &own, NULL) <= 0)
		return;
	while (getline(&line, &n, f) > 0)
		if (ovbd_mountinfo_decode(line, &m) == 0 && m.major == at.major &&
		    m.minor == at.minor && strcmp(m.path, path) != 0)
			add(l, "mounted at %s", m.path);
}

static void add_loops(struct list *l, const char *path)
{
	OVBD_AUTO(close_dirp) DIR *d = opendir("/sys/block");
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		char name[sizeof(e->d_name) + 32], file[PATH_MAX], device[sizeof(e->d_name) + 8];

		if (strncmp(e->d_name, "loop", 4) != 0)
			continue;
		snprintf(name, sizeof(name), "%s/loop/backing_file", e->d_name);
		if (ovbd_line_read(dirfd(d), name, file, sizeof(file)) <= 0 ||
		    strcmp(file, path) != 0)
			continue;
		snprintf(device, sizeof(device), "/dev/%s", e->d_name);
		find_mount(device, file, sizeof(file));
		if (file[0])
			add(l, "%s (mounted at %s)", device, file);
		else
			add(l, "%s", device);
	}
}

/* What lies on the block device in the kernel: device mapper, RAID. */
static void add_disks(struct list *l, const char *path)
{
	OVBD_AUTO(close_dirp) DIR *d = NULL;
	char name[PATH_MAX], where[PATH_MAX];
	const struct dirent *e;

	if (strncmp(path, "/dev/", 5) != 0)
		return;
	snprintf(name, sizeof(name), "/sys/class/block/%s/holders", path + 5);
	d = opendir(name);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "/dev/%s", e->d_name);
		find_mount(name, where, sizeof(where));
		if (where[0])
			add(l, "%s (mounted at %s)", name, where);
		else
			add(l, "%s", name);
	}
}

/* Whether the process, a directory of /proc, has path open. */
static bool has_open(int proc_fd, const char *pid, const char *path)
{
	OVBD_AUTO(close_dirp) DIR *d = NULL;
	const struct dirent *e;
	char name[64], target[PATH_MAX];
	int fd;

	snprintf(name, sizeof(name), "%.32s/fd", pid);
	fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	d = fdopendir(fd);
	if (!d)
		close(fd);
	while (d && (e = readdir(d))) {
		const ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		if (strcmp(target, path) == 0)
			return true;
	}
	return false;
}

static void add_processes(struct list *l, const char *path)
{
	OVBD_AUTO(close_dirp) DIR *d = opendir("/proc");
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		char name[64], comm[64] = "?";

		if (!isdigit(e->d_name[0]) || strtol(e->d_name, NULL, 10) == getpid() ||
		    !has_open(dirfd(d), e->d_name, path))
			continue;
		snprintf(name, sizeof(name), "%.32s/comm", e->d_name);
		ovbd_line_read(dirfd(d), name, comm, sizeof(comm));
		add(l, "process %s (%s)", e->d_name, comm);
	}
}

size_t ovbd_holders_find(const char *path, char *ret, size_t size)
{
	struct list l = {.text = ret, .size = size};

	ret[0] = '\0';
	add_processes(&l, path);
	add_loops(&l, path);
	add_disks(&l, path);
	add_mounts(&l, path);
	return l.n;
}
