// SPDX-License-Identifier: Apache-2.0
/* overlaybd.json, and the same bytes by a table that knows all its keys. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>

#include "base/auto.h"
#include "image/overlaybd_json.h"

struct fields {
	bool yes;
	uint64_t number;
	const char *text;
};

static void strictly(const char *path)
{
	static const struct ovbd_setting table[] = {
		{"log-level", OVBD_SETTING_TEXT, offsetof(struct fields, text), 0, 0},
		{"workers", OVBD_SETTING_NUMBER, offsetof(struct fields, number), 1, 1024},
		{"a.b", OVBD_SETTING_BOOL, offsetof(struct fields, yes), 0, 0},
		{"a.c.d", OVBD_SETTING_NUMBER, OVBD_SETTING_UNUSED, 0, 0},
	};
	static const struct ovbd_settings s = {table, sizeof(table) / sizeof(table[0]), true};
	char ignored[OVBD_SETTINGS_IGNORED_SIZE];
	struct fields to = {0};
	json_t *file = NULL;

	if (ovbd_settings_load(path, &s, &to, ignored, &file, NULL) == 0)
		json_decref(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;
	char path[32];
	AUTO_FD fd = memfd_create("settings", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (ovbd_overlaybd_json_load(path, &j, &err) == 0)
		json_decref(j.file);
	strictly(path);
	return 0;
}
