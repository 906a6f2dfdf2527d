// SPDX-License-Identifier: Apache-2.0
/* The kernel says only that somebody has a block device. Who it is stands in two places, for mounts
 * and for devices made of devices. What else there may be (swap, say) is not looked for. */
#include "base/busy.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/auto.h"

static int find_mount(dev_t dev, char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, place[256];
	size_t room = 0;
	int found = 0;

	if (!f)
		return 0;
	while (!found && getline(&line, &room, f) > 0) {
		unsigned major, minor;

		if (sscanf(line, "%*u %*u %u:%u %*s %255s", &major, &minor, place) != 3 ||
		    makedev(major, minor) != dev)
			continue;
		snprintf(ret, size, " (mounted at %s)", place);
		found = 1;
	}
	free(line);
	fclose(f);
	return found;
}

static void find_device(dev_t dev, char *ret, size_t size)
{
	char dir[64];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u/holders", major(dev), minor(dev));
	d = opendir(dir);
	if (!d)
		return;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			snprintf(ret, size, " (of %s)", e->d_name);
			break;
		}
	closedir(d);
}

void ovbd_busy_holder(const char *path, char *ret, size_t size)
{
	struct stat st;

	ret[0] = '\0';
	if (stat(path, &st) == 0 && S_ISBLK(st.st_mode) && !find_mount(st.st_rdev, ret, size))
		find_device(st.st_rdev, ret, size);
}
