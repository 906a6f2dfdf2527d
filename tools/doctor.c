// SPDX-License-Identifier: Apache-2.0
/*
 * A report is a list of findings, each about one thing. What is missing for a transport is one
 * failure each, in the order in which one would mend it; a transport without failures has a finding
 * that says so.
 */
#include "tools/doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/auto.h"

const char *ovbd_finding_level_name(enum ovbd_finding_level l)
{
	static const char *const names[] = {
		[OVBD_FINDING_OK] = "ok",
		[OVBD_FINDING_WARN] = "warn",
		[OVBD_FINDING_FAIL] = "fail",
	};

	return names[l];
}

void doctor_find(struct ovbd_report *r, const char *about, enum ovbd_finding_level level,
                 const char *command, const char *fmt, ...)
{
	struct ovbd_finding *f = &r->findings[r->n];
	va_list ap;

	if (r->n == OVBD_FINDINGS_MAX)
		return;
	r->n++;
	f->about = about;
	f->level = level;
	snprintf(f->command, sizeof(f->command), "%s", command);
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

char *doctor_path(const struct ovbd_host *h, const char *path)
{
	char *whole;

	return asprintf(&whole, "%s%s", h->root, path) < 0 ? NULL : whole;
}

bool doctor_exists(const struct ovbd_host *h, const char *path)
{
	AUTO_FREE char *whole = doctor_path(h, path);

	return whole && access(whole, F_OK) == 0;
}

static void close_filep(FILE **f)
{
	if (*f)
		fclose(*f);
}

bool doctor_mentions(const struct ovbd_host *h, const char *path, const char *word)
{
	AUTO_FREE char *whole = doctor_path(h, path), *line = NULL;
	OVBD_AUTO(close_filep) FILE *f = whole ? fopen(whole, "re") : NULL;
	size_t size = 0;
	bool found = false;

	while (f && !found && getline(&line, &size, f) >= 0)
		found = strstr(line, word) != NULL;
	return found;
}

/* Whether the list of modules ("modules.dep", "modules.builtin") has the module, whose file's name
 * may have dashes for underscores. */
static bool is_listed(const struct ovbd_host *h, const char *list, const char *module)
{
	AUTO_FREE char *path = NULL, *file = NULL;
	bool found;

	if (asprintf(&path, "/lib/modules/%s/%s", h->release, list) < 0 ||
	    asprintf(&file, "/%s.ko", module) < 0)
		return false;
	found = doctor_mentions(h, path, file);
	for (char *c = file; *c; c++)
		if (*c == '_')
			*c = '-';
	return found || doctor_mentions(h, path, file);
}

bool doctor_module(const struct ovbd_host *h, struct ovbd_report *r, const char *about,
                   const char *module)
{
	AUTO_FREE char *loaded = NULL, *modules = NULL, *command = NULL;

	if (asprintf(&loaded, "/sys/module/%s", module) < 0 ||
	    asprintf(&modules, "/lib/modules/%s", h->release) < 0 ||
	    asprintf(&command, "modprobe %s", module) < 0)
		return false;
	if (doctor_exists(h, loaded) || is_listed(h, "modules.builtin", module))
		return true;
	if (is_listed(h, "modules.dep", module))
		doctor_find(r, about, OVBD_FINDING_FAIL, command, "the module %s is not loaded",
		            module);
	else if (doctor_exists(h, modules))
		doctor_find(r, about, OVBD_FINDING_FAIL, "",
		            "this kernel (%s) has no module %s: another kernel may have it",
		            h->release, module);
	else
		doctor_find(r, about, OVBD_FINDING_FAIL, command,
		            "the module %s is not loaded, and there are no modules for this kernel "
		            "(%s) here; where this is a container, load it on the host",
		            module, h->release);
	return false;
}

bool ovbd_doctor_can(const struct ovbd_report *r, const char *transport)
{
	bool looked = false;

	for (size_t i = 0; i < r->n; i++) {
		if (strcmp(r->findings[i].about, transport) != 0)
			continue;
		if (r->findings[i].level == OVBD_FINDING_FAIL)
			return false;
		looked = true;
	}
	return looked;
}

void ovbd_doctor_look(const struct ovbd_host *h, struct ovbd_report *ret)
{
	*ret = (struct ovbd_report){0};
	doctor_find(ret, "kernel", OVBD_FINDING_OK, "", "Linux %s", h->release);
	doctor_transports(h, ret);
	doctor_daemon(h, ret);
	doctor_limits(h, ret);
}
