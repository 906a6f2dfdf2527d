// SPDX-License-Identifier: Apache-2.0
/* The daemon and its socket, other daemons, and what runs out: descriptors and space. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/auto.h"
#include "base/line.h"
#include "tools/doctor.h"
#include "tools/size.h"

#define NOFILE_WANTED 65536 /* a device has a few dozen; images of many layers more */
#define SPACE_LEAST   (1u << 20)
#define SPACE_WANTED  (16u << 20)

/* --- the daemon --- */

static void look_at_socket(const struct ovbd_host *h, struct ovbd_report *r)
{
	struct stat st;

	if (stat(h->socket, &st) < 0)
		return;
	if ((st.st_mode & S_IRWXO) != 0)
		doctor_find(
			r, "socket", OVBD_FINDING_WARN, "systemctl restart ovbdd",
			"every user may write to %s (mode %03o), and so read every file of this "
			"host: it should be root's and the group ovbd's",
			h->socket, (unsigned)st.st_mode & 0777);
	else if ((st.st_mode & S_IWGRP) != 0)
		doctor_find(r, "socket", OVBD_FINDING_OK, "", "root and a group (%u) may use %s",
		            (unsigned)st.st_gid, h->socket);
	else
		doctor_find(r, "socket", OVBD_FINDING_OK, "",
		            "only its owner may use %s; a group ovbd could too, if there were one",
		            h->socket);
}

static void tell_daemon(const struct ovbd_host *h, struct ovbd_report *r, json_t *status)
{
	const json_t *transports = json_object_get(status, "transports");
	const char *version = json_string_value(json_object_get(status, "version"));
	char names[128] = "";

	for (size_t i = 0; i < json_array_size(transports); i++) {
		const json_t *t = json_array_get(transports, i);
		const char *name = json_string_value(json_object_get(t, "name"));
		const size_t at = strlen(names);

		if (name && json_is_true(json_object_get(t, "available")))
			snprintf(names + at, sizeof(names) - at, "%s%s", at > 0 ? ", " : "", name);
	}
	doctor_find(r, "daemon", OVBD_FINDING_OK, "",
	            "ovbdd %s answers on %s, and has the transports %s", version ? version : "?",
	            h->socket, names[0] ? names : "(none)");
}

void doctor_daemon(const struct ovbd_host *h, struct ovbd_report *r)
{
	struct ovbd_error err = {0};
	json_t *status = NULL;
	const int code = h->daemon(h->socket, &status, &err);

	if (code == 0)
		tell_daemon(h, r, status);
	else if (code == -ENOENT)
		doctor_find(r, "daemon", OVBD_FINDING_WARN, "systemctl start ovbdd",
		            "ovbdd does not run: there is no %s", h->socket);
	else if (code == -ECONNREFUSED)
		doctor_find(r, "daemon", OVBD_FINDING_WARN, "systemctl restart ovbdd",
		            "ovbdd does not run: %s is what a dead one has left; the next one "
		            "replaces it",
		            h->socket);
	else if (code == -EACCES)
		doctor_find(r, "daemon", OVBD_FINDING_WARN, "usermod -aG ovbd USER",
		            "this user may not ask ovbdd (%s): root may, and the group ovbd",
		            h->socket);
	else if (code == -ETIMEDOUT)
		doctor_find(r, "daemon", OVBD_FINDING_FAIL, "systemctl restart ovbdd",
		            "ovbdd listens on %s, but does not answer", h->socket);
	else
		doctor_find(r, "daemon", OVBD_FINDING_FAIL, "", "%.200s", err.msg);
	json_decref(status);
	look_at_socket(h, r);
}

/* --- others --- */

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* overlaybd-tcmu may be another name of ours. */
static bool is_ovbdd(int proc_fd, const char *pid)
{
	char name[64], exe[PATH_MAX];
	ssize_t n;

	snprintf(name, sizeof(name), "%.32s/exe", pid);
	n = readlinkat(proc_fd, name, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	return strstr(exe, "/ovbdd") != NULL;
}

/* Daemons that answer for TCMU disks of others, with an error. */
static void look_at_strangers(const struct ovbd_host *h, struct ovbd_report *r)
{
	static const char *const strangers[] = {"tcmu-runner", "overlaybd-tcmu"};
	AUTO_FREE char *proc = doctor_path(h, "/proc");
	OVBD_AUTO(close_dirp) DIR *d = proc ? opendir(proc) : NULL;
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		char name[64], comm[64], command[96];

		snprintf(name, sizeof(name), "%.32s/comm", e->d_name);
		if (!isdigit(e->d_name[0]) ||
		    ovbd_line_read(dirfd(d), name, comm, sizeof(comm)) <= 0)
			continue;
		for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
			if (strcmp(comm, strangers[i]) == 0 && !is_ovbdd(dirfd(d), e->d_name)) {
				snprintf(command, sizeof(command), "systemctl disable --now %s",
				         comm);
				doctor_find(r, "strangers", OVBD_FINDING_WARN, command,
				            "process %s (%s) refuses TCMU disks that are not "
				            "its own, ours among them",
				            e->d_name, comm);
			}
	}
}

/* --- limits --- */

static void look_at_space(const struct ovbd_host *h, struct ovbd_report *r)
{
	AUTO_FREE char *run = doctor_path(h, "/run");
	char size[OVBD_SIZE_TEXT];
	struct statvfs st;
	uint64_t left;

	if (!run || statvfs(run, &st) < 0) {
		doctor_find(r, "space", OVBD_FINDING_FAIL, "", "/run: %s", strerror(errno));
		return;
	}
	left = (uint64_t)st.f_bavail * st.f_frsize;
	ovbd_size_text(size, left);
	if (left < SPACE_WANTED)
		doctor_find(r, "space", left < SPACE_LEAST ? OVBD_FINDING_FAIL : OVBD_FINDING_WARN,
		            "du -xsh /run/*",
		            "%s left in /run: each device needs a small file there", size);
	else
		doctor_find(r, "space", OVBD_FINDING_OK, "", "%s left in /run", size);
}

bool doctor_is_admin(const struct ovbd_host *h)
{
	return h->caps >> CAP_SYS_ADMIN & 1;
}

void doctor_limits(const struct ovbd_host *h, struct ovbd_report *r)
{
	look_at_strangers(h, r);
	if (doctor_is_admin(h))
		doctor_find(r, "privileges", OVBD_FINDING_OK, "", "may mount and make disks");
	else
		doctor_find(r, "privileges", OVBD_FINDING_WARN, "sudo ovbd doctor",
		            "this user may not make disks (no CAP_SYS_ADMIN); ovbdd may, where it "
		            "runs as root");
	if (h->nofile < NOFILE_WANTED)
		doctor_find(r, "files", OVBD_FINDING_WARN, "ulimit -Hn 1048576",
		            "a process may have %" PRIu64
		            " files open: many devices need more (the "
		            "unit of ovbdd raises it by itself)",
		            h->nofile);
	else
		doctor_find(r, "files", OVBD_FINDING_OK, "",
		            "a process may have %" PRIu64 " files open", h->nofile);
	look_at_space(h, r);
}
