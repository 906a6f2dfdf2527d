// SPDX-License-Identifier: Apache-2.0
/* doctor: the real host, as the doctor wants it shown, and how the report is printed. */
#include <errno.h>
#include <linux/io_uring.h>
#include <lz4.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <zstd.h>

#include "base/auto.h"
#include "tools/control.h"
#include "tools/doctor.h"
#include "tools/verbs.h"

#define DAEMON_MS 5000

static const struct ovbd_option options[] = {
	OVBD_OPTION_SOCKET_ENTRY,
	OVBD_OPTION_OUTPUT_ENTRY,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd doctor", "what is missing, and what to do about it"},
	{"ovbd doctor -q || echo 'no devices on this host'", "for a script"},
	{NULL},
};

static int try_io_uring(void)
{
	struct io_uring_params p = {0};
	const long fd = syscall(__NR_io_uring_setup, 1, &p);

	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

static uint64_t effective_caps(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "CapEff:", 7) == 0)
			caps = strtoull(line + 7, NULL, 16);
	if (f)
		fclose(f);
	return caps;
}

static int ask_daemon(const char *socket, json_t **ret, struct ovbd_error *err)
{
	const struct ovbd_control_request q = {
		.socket = socket,
		.method = "GET",
		.path = "/v1/status",
		.timeout_ms = DAEMON_MS,
	};

	return ovbd_control_call(&q, ret, err);
}

static const char *const words[] = {
	[OVBD_FINDING_OK] = "ok  ",
	[OVBD_FINDING_WARN] = "warn",
	[OVBD_FINDING_FAIL] = "fail",
};

static void print_human(const struct ovbd_report *r, const char *names)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct ovbd_finding *f = &r->findings[i];

		printf("%s  %-10s %s\n", words[f->level], f->about, f->text);
		if (f->command[0])
			printf("%16s %s\n", "=>", f->command);
	}
	if (names[0])
		printf("\nDevices can be made by: %s\n", names);
	else
		printf("\nNo devices can be made on this host as it is; 'ovbd serve --nbd' needs "
		       "nothing of it\n");
}

static json_t *json_of(const struct ovbd_report *r, bool usable)
{
	json_t *obj = ovbd_json_create("doctor"), *list = json_array(), *can = json_object();

	ovbd_json_set_bool(obj, "usable", usable);
	for (const char *const *t = ovbd_doctor_transports; *t; t++)
		ovbd_json_set_bool(can, *t, ovbd_doctor_can(r, *t));
	ovbd_json_set(obj, "transports", can);
	for (size_t i = 0; i < r->n; i++) {
		const struct ovbd_finding *f = &r->findings[i];
		json_t *v = json_object();

		ovbd_json_set_text(v, "about", f->about);
		ovbd_json_set_text(v, "level", ovbd_finding_level_name(f->level));
		ovbd_json_set_text(v, "text", f->text);
		if (f->command[0])
			ovbd_json_set_text(v, "command", f->command);
		ovbd_json_append(list, v);
	}
	ovbd_json_set(obj, "findings", list);
	return obj;
}

/* "ublk, fuse": what can be used. */
static void usable_names(const struct ovbd_report *r, char *ret, size_t size)
{
	ret[0] = '\0';
	for (const char *const *t = ovbd_doctor_transports; *t; t++) {
		const size_t at = strlen(ret);

		if (ovbd_doctor_can(r, *t))
			snprintf(ret + at, size - at, "%s%s", at > 0 ? ", " : "", *t);
	}
}

static void look(const char *socket, struct ovbd_report *ret)
{
	const char *search = getenv("PATH");
	struct utsname kernel = {0};
	struct rlimit nofile = {0};
	struct ovbd_host h;

	uname(&kernel);
	getrlimit(RLIMIT_NOFILE, &nofile);
	h = (struct ovbd_host){
		.root = "",
		.release = kernel.release,
		.search = search ? search : "/usr/bin:/bin",
		.socket = ovbd_control_socket(socket),
		.caps = effective_caps(),
		.nofile = nofile.rlim_max,
		.io_uring = try_io_uring,
		.daemon = ask_daemon,
	};
	ovbd_doctor_look(&h, ret);
	doctor_find(ret, "codecs", OVBD_FINDING_OK, "", "lz4 %s, zstd %s", LZ4_versionString(),
	            ZSTD_versionString());
}

static int run(struct ovbd_cli *c)
{
	struct ovbd_control_options a;
	struct ovbd_report report;
	char names[64];

	if (ovbd_control_parse(c, 0, &a) < 0)
		return c->status;
	look(a.socket, &report);
	usable_names(&report, names, sizeof(names));
	if (a.json)
		ovbd_json_print(json_of(&report, names[0] != '\0'));
	else if (!c->quiet)
		print_human(&report, names);
	return names[0] ? OVBD_EXIT_OK : OVBD_EXIT_FAILURE;
}

const struct ovbd_verb ovbd_verb_doctor = {
	.name = "doctor",
	.summary = "Tell what this host can do, what it cannot, and how to mend it",
	.usage = "",
	.text = "Looks at what each transport needs (modules, device nodes, permissions), at ovbdd "
		"and its socket, and at limits. Changes nothing. A line begins with ok, warn or "
		"fail; the line after it, if there is one, is the command that would mend it.",
	.options = options,
	.examples = examples,
	.exits = "0 if all is there that at least one transport needs, otherwise 1.",
	.run = run,
};
