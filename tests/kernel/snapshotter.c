// SPDX-License-Identifier: Apache-2.0
/*
 * snapshotter [ID CONFIG]...: attaches disks by TCMU as the container snapshotter does, write by
 * write and with its time limits; all at a time, each in a thread, as it has a goroutine for each.
 * Prints for each: its id, its disk (sda), and after how many milliseconds, from the first "enable"
 * on, its own was answered and it was attached. What failed is told on standard error.
 *
 * The snapshotter sets the disk's time limit fifty times, as it does not end that loop when it has
 * succeeded; and so does this.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/auto.h"
#include "base/error.h"

#define TARGET       "/sys/kernel/config/target"
#define HBA          TARGET "/core/user_999999999"
#define PATH_SIZE    512
#define TIMEOUT      "2147483" /* seconds */
#define NENABLES     100       /* tries, 50 ms from one to the next */
#define ENABLE_MS    50
#define NDISK_LOOKS  50
#define DISK_LOOK_MS 10

struct attach {
	const char *id, *config;
	char naa[64], device[PATH_SIZE], portal[PATH_SIZE];
	char disk[32];
	unsigned enabled_ms, attached_ms;
	pthread_t thread;
	int code;
	struct ovbd_error why;
};

static pthread_barrier_t made;
static struct timespec began; /* the first "enable" */

static unsigned ms_since_beginning(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned)((now.tv_sec - began.tv_sec) * 1000 +
	                  (now.tv_nsec - began.tv_nsec) / 1000000);
}

static void pause_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* As Go's os.WriteFile(), which tries again when it is interrupted. */
static int write_file(const char *dir, const char *name, const char *text, struct ovbd_error *err)
{
	char path[2 * PATH_SIZE];
	AUTO_FD fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	do
		n = write(fd, text, strlen(text));
	while (n < 0 && errno == EINTR);
	return n < 0 ? ovbd_fail_errno(err, -errno, "%s: writing '%s'", path, text) : 0;
}

static int make_dirs(const char *path, struct ovbd_error *err)
{
	char part[PATH_SIZE];

	for (const char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s",
		         (int)(end ? (size_t)(end - path) : strlen(path)), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return ovbd_fail_errno(err, -errno, "%s", part);
		if (!end)
			return 0;
	}
}

static int make(struct attach *a)
{
	char config[PATH_SIZE];
	int r = make_dirs(a->device, &a->why);

	snprintf(config, sizeof(config), "dev_config=overlaybd/%s", a->config);
	if (r == 0)
		r = write_file(a->device, "control", config, &a->why);
	return r == 0 ? write_file(a->device, "control", "max_data_area_mb=4", &a->why) : r;
}

static int enable(struct attach *a)
{
	int r = -EAGAIN;

	for (int i = 0; i < NENABLES && r == -EAGAIN; i++) {
		if (i > 0)
			pause_ms(ENABLE_MS);
		r = write_file(a->device, "enable", "1", &a->why);
	}
	a->enabled_ms = ms_since_beginning();
	return r;
}

static int link_lun(struct attach *a)
{
	char lun[PATH_SIZE + 16], path[2 * PATH_SIZE];
	int r = write_file(a->device, "attrib/cmd_time_out", TIMEOUT, &a->why);

	snprintf(lun, sizeof(lun), "%s/lun/lun_0", a->portal);
	if (r == 0)
		r = make_dirs(lun, &a->why);
	if (r == 0)
		r = write_file(a->portal, "nexus", a->naa, &a->why);
	snprintf(path, sizeof(path), "%s/dev_%s", lun, a->id);
	if (r == 0 && symlink(a->device, path) < 0)
		r = ovbd_fail_errno(&a->why, -errno, "%s", path);
	return r;
}

/* The directory's entry; false if there is none yet. */
static bool find_disk(const char *dir, char ret[32])
{
	DIR *d = opendir(dir);
	const struct dirent *e = NULL;

	if (!d)
		return false;
	do
		e = readdir(d);
	while (e && e->d_name[0] == '.');
	if (e)
		snprintf(ret, 32, "%.31s", e->d_name);
	closedir(d);
	return e != NULL;
}

static int wait_for_disk(struct attach *a)
{
	char path[2 * PATH_SIZE], address[32] = "", disk[32];
	AUTO_FD fd = -1;

	snprintf(path, sizeof(path), "%s/address", a->portal);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, address, sizeof(address) - 1) < 0)
		return ovbd_fail_errno(&a->why, -errno, "%s", path);
	address[strcspn(address, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/class/scsi_device/%s:0/device/block", address);
	for (int i = 0; i < NDISK_LOOKS; i++) {
		char block[64];

		if (!find_disk(path, disk)) {
			pause_ms(DISK_LOOK_MS);
			continue;
		}
		snprintf(block, sizeof(block), "/sys/block/%s", disk);
		if (write_file(block, "device/timeout", TIMEOUT, NULL) < 0)
			pause_ms(DISK_LOOK_MS);
		else
			memcpy(a->disk, disk, sizeof(disk));
	}
	return a->disk[0] ? 0 : ovbd_fail(&a->why, -ENODEV, "no block device after 50 tries");
}

/* Is it erofs? The first bytes that are read; no answer means no. */
static int probe(struct attach *a)
{
	char dir[PATH_SIZE], path[64], magic[4];
	AUTO_FD fd = -1;
	int r;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(a->config, '/') - a->config), a->config);
	snprintf(path, sizeof(path), "/dev/%s", a->disk);
	r = write_file(dir, "backstore_mark", path, &a->why);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r == 0 && fd >= 0 && pread(fd, magic, sizeof(magic), 1024) < 0)
		fprintf(stderr, "%s: cannot be read\n", path);
	return r;
}

static void *attach(void *arg)
{
	struct attach *a = arg;
	int r = make(a);

	if (pthread_barrier_wait(&made) == PTHREAD_BARRIER_SERIAL_THREAD)
		clock_gettime(CLOCK_MONOTONIC, &began);
	pthread_barrier_wait(&made);
	if (r == 0)
		r = enable(a);
	if (r == 0)
		r = link_lun(a);
	if (r == 0)
		r = wait_for_disk(a);
	if (r == 0)
		r = probe(a);
	a->attached_ms = ms_since_beginning();
	a->code = r;
	return NULL;
}

int main(int argc, char **argv)
{
	const int n = (argc - 1) / 2;
	AUTO_FREE struct attach *all = calloc((size_t)n, sizeof(*all));
	int failed = 0;

	if (n == 0 || argc % 2 == 0 || !all)
		return 2;
	pthread_barrier_init(&made, NULL, (unsigned)n);
	for (int i = 0; i < n; i++) {
		struct attach *a = &all[i];

		a->id = argv[1 + 2 * i];
		a->config = argv[2 + 2 * i];
		snprintf(a->naa, sizeof(a->naa), "naa.199%013d", atoi(a->id));
		snprintf(a->device, sizeof(a->device), HBA "/dev_%s", a->id);
		snprintf(a->portal, sizeof(a->portal), TARGET "/loopback/%s/tpgt_1", a->naa);
		if (pthread_create(&a->thread, NULL, attach, a) != 0)
			return 2;
	}
	for (int i = 0; i < n; i++) {
		const struct attach *a = &all[i];

		pthread_join(a->thread, NULL);
		failed += a->code < 0;
		if (a->code < 0)
			fprintf(stderr, "%s: %s\n", a->id, a->why.msg);
		else
			printf("%s %s %u %u\n", a->id, a->disk, a->enabled_ms, a->attached_ms);
	}
	return failed > 0;
}
