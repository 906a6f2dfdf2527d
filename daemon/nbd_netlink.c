// SPDX-License-Identifier: Apache-2.0
/*
 * A disk has one socket. Of several, the kernel would take any that lets a request wait for its
 * time limit as dead, and a slow layer is not dead. With one, and no time limit, it never gives up;
 * each STUCK_MS it looks at what is not answered yet, and sends again what went over a socket that
 * has since been replaced. So that is how long the requests that a dead server had taken wait after
 * the next one has come. What was not sent yet waits at most DEAD_S for that one.
 */
#include "daemon/nbd_netlink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nbd-netlink.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/genl.h"

#define STUCK_MS      "3000"
#define DEAD_S        UINT64_C(2147483) /* 24 days: only "detach" ends a disk */
#define SECTOR        512
#define END_ON_CLOSE  UINT64_C(2) /* NBD_CFLAG_DISCONNECT_ON_CLOSE of <linux/nbd.h>, which has */
#define NAME_SIZE_MAX 64          /* names that nbd_proto.h has too */

static void genl_closep(struct genl **g)
{
	if (*g)
		genl_close(*g);
}

static int open_family(struct genl *g, struct ovbd_error *err)
{
	const int r = genl_open(g, NBD_GENL_FAMILY_NAME, NULL, NULL);

	if (r == -ENOENT)
		return ovbd_fail(err, r, "nbd: the kernel has no NBD client: modprobe nbd");
	return r < 0 ? ovbd_fail_errno(err, r, "nbd: the kernel's netlink") : 0;
}

int nbd_netlink_available(struct ovbd_error *err)
{
	struct genl g;
	const int r = open_family(&g, err);

	if (r < 0)
		return r;
	genl_close(&g);
	if (geteuid() != 0)
		return ovbd_fail(err, -EPERM, "nbd: only root may make disks");
	return 0;
}

/* The first line of /sys/block/nbdN/NAME; "" if there is none. */
static void read_line(unsigned n, const char *name, char *buf, size_t size)
{
	char path[NAME_SIZE_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/block/nbd%u/%s", n, name);
	{
		AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

		len = fd < 0 ? -1 : read(fd, buf, size - 1);
	}
	buf[len < 0 ? 0 : len] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

bool nbd_disk_has(unsigned n, const char *backend)
{
	char text[NBD_BACKEND_SIZE + 1];

	read_line(n, "backend", text, sizeof(text));
	return strcmp(text, backend) == 0;
}

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int nbd_disk_find(const char *backend)
{
	OVBD_AUTO(close_dirp) DIR *d = opendir("/sys/block");
	const struct dirent *e;
	unsigned n;
	char rest;

	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, "nbd%u%c", &n, &rest) == 1 && nbd_disk_has(n, backend))
			return (int)n;
	return -ENOENT;
}

void nbd_disk_each(void (*found)(void *arg, unsigned n, const char *backend), void *arg)
{
	OVBD_AUTO(close_dirp) DIR *d = opendir("/sys/block");
	char text[NBD_BACKEND_SIZE + 1];
	const struct dirent *e;
	unsigned n;
	char rest;

	while (d && (e = readdir(d))) {
		if (sscanf(e->d_name, "nbd%u%c", &n, &rest) != 1)
			continue;
		read_line(n, "backend", text, sizeof(text));
		if (text[0])
			found(arg, n, text);
	}
}

int nbd_disk_look(unsigned n, uint64_t *ret_size, bool *ret_read_only, struct ovbd_error *err)
{
	char size[32], ro[8];
	uint64_t sectors;

	read_line(n, "size", size, sizeof(size));
	read_line(n, "ro", ro, sizeof(ro));
	if (sscanf(size, "%" SCNu64, &sectors) != 1 || !ro[0])
		return ovbd_fail(err, -ENODEV, "/sys/block/nbd%u: says nothing of the disk", n);
	*ret_size = sectors * SECTOR;
	*ret_read_only = ro[0] == '1';
	return 0;
}

/* Without it the kernel looks every 30 s. */
static void set_stuck_time(unsigned n)
{
	char path[NAME_SIZE_MAX];
	AUTO_FD fd = -1;

	snprintf(path, sizeof(path), "/sys/block/nbd%u/queue/io_timeout", n);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, STUCK_MS, strlen(STUCK_MS)) < 0)
		return;
}

static void put_u32(struct genl_message *m, uint16_t type, uint32_t v)
{
	genl_put(m, type, &v, sizeof(v));
}

static void put_u64(struct genl_message *m, uint16_t type, uint64_t v)
{
	genl_put(m, type, &v, sizeof(v));
}

static void put_socket(struct genl_message *m, int fd)
{
	const size_t sockets = genl_nest(m, NBD_ATTR_SOCKETS), item = genl_nest(m, NBD_SOCK_ITEM);

	put_u32(m, NBD_SOCK_FD, (uint32_t)fd);
	genl_nest_end(m, item);
	genl_nest_end(m, sockets);
}

static void put_backend(struct genl_message *m, const char *backend)
{
	genl_put(m, NBD_ATTR_BACKEND_IDENTIFIER, backend, strlen(backend) + 1);
}

int nbd_disk_connect(int fd, const char *backend, uint64_t size, unsigned flags,
                     struct ovbd_error *err)
{
	struct genl g;
	OVBD_AUTO(genl_closep) struct genl *opened = NULL;
	struct genl_attributes answer;
	struct genl_message m;
	uint32_t n;
	int r = open_family(&g, err);

	if (r < 0)
		return r;
	opened = &g;
	genl_begin(&m, g.family, NBD_CMD_CONNECT, NBD_GENL_VERSION);
	put_u64(&m, NBD_ATTR_SIZE_BYTES, size);
	put_u64(&m, NBD_ATTR_BLOCK_SIZE_BYTES, NBD_BLOCK_SIZE);
	put_u64(&m, NBD_ATTR_SERVER_FLAGS, flags);
	put_u64(&m, NBD_ATTR_DEAD_CONN_TIMEOUT, DEAD_S);
	put_socket(&m, fd);
	put_backend(&m, backend);
	r = genl_ask(&g, &m, &answer);
	if (r < 0)
		return ovbd_fail_errno(err, r, "nbd: making a disk");
	if (!genl_find_number(answer, NBD_ATTR_INDEX, &n, sizeof(n)) || n > INT32_MAX)
		return ovbd_fail(err, -EPROTO, "nbd: the kernel does not say which disk it made");
	set_stuck_time(n);
	return (int)n;
}

/* For a command about disk n: begins it, with what each has. */
static int begin(struct genl *g, struct genl_message *m, uint8_t command, unsigned n,
                 struct ovbd_error *err)
{
	const int r = open_family(g, err);

	if (r < 0)
		return r;
	genl_begin(m, g->family, command, NBD_GENL_VERSION);
	put_u32(m, NBD_ATTR_INDEX, n);
	return 0;
}

int nbd_disk_reconnect(unsigned n, const char *backend, int fd, struct ovbd_error *err)
{
	struct genl_message m;
	struct genl g;
	int r = begin(&g, &m, NBD_CMD_RECONFIGURE, n, err);

	if (r < 0)
		return r;
	put_u64(&m, NBD_ATTR_DEAD_CONN_TIMEOUT, DEAD_S);
	put_u64(&m, NBD_ATTR_CLIENT_FLAGS, 0); /* an earlier detach is not to go on */
	put_socket(&m, fd);
	put_backend(&m, backend);
	r = genl_ask(&g, &m, NULL);
	genl_close(&g);
	set_stuck_time(n);
	return r < 0 ? ovbd_fail_errno(err, r, "/dev/nbd%u: connecting it again", n) : 0;
}

int nbd_disk_resize(unsigned n, const char *backend, uint64_t size, struct ovbd_error *err)
{
	struct genl_message m;
	struct genl g;
	int r = begin(&g, &m, NBD_CMD_RECONFIGURE, n, err);

	if (r < 0)
		return r;
	put_u64(&m, NBD_ATTR_SIZE_BYTES, size);
	put_backend(&m, backend);
	r = genl_ask(&g, &m, NULL);
	genl_close(&g);
	return r < 0 ? ovbd_fail_errno(err, r, "/dev/nbd%u: telling the kernel its size", n) : 0;
}

int nbd_disk_end_with_users(unsigned n, const char *backend, struct ovbd_error *err)
{
	struct genl_message m;
	struct genl g;
	int r = begin(&g, &m, NBD_CMD_RECONFIGURE, n, err);

	if (r < 0)
		return r;
	put_u64(&m, NBD_ATTR_CLIENT_FLAGS, END_ON_CLOSE);
	put_backend(&m, backend);
	r = genl_ask(&g, &m, NULL);
	genl_close(&g);
	return r < 0 ? ovbd_fail_errno(err, r, "/dev/nbd%u: detaching it", n) : 0;
}

int nbd_disk_disconnect(unsigned n, struct ovbd_error *err)
{
	struct genl_message m;
	struct genl g;
	int r = begin(&g, &m, NBD_CMD_DISCONNECT, n, err);

	if (r < 0)
		return r;
	r = genl_ask(&g, &m, NULL);
	genl_close(&g);
	return r < 0 ? ovbd_fail_errno(err, r, "/dev/nbd%u: disconnecting it", n) : 0;
}
