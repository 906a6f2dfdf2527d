/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host can do for ovbd, what it cannot, and the command that would change it. Nothing is
 * changed by looking. All that is looked at is in struct ovbd_host, so that a test can show the
 * doctor a host of its own making.
 */
#ifndef OVBD_TOOLS_DOCTOR_H
#define OVBD_TOOLS_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ovbd_host {
	const char *root;      /* before every path that is looked at; "" for the real one */
	const char *release;   /* of the kernel: "6.1.0-13-amd64" */
	const char *search;    /* $PATH */
	const char *socket;    /* of ovbdd, with the root if it has one */
	uint64_t caps;         /* effective capabilities of this process */
	uint64_t nofile;       /* RLIMIT_NOFILE, the hard one */
	int (*io_uring)(void); /* 0 or -errno: may this process have a ring? */
	/* What ovbdd says of itself, or -ENOENT and -ECONNREFUSED: nobody listens; -EACCES; other:
	 * err says what. */
	int (*daemon)(const char *socket, json_t **ret, struct ovbd_error *err);
};

enum ovbd_finding_level { OVBD_FINDING_OK, OVBD_FINDING_WARN, OVBD_FINDING_FAIL };

struct ovbd_finding {
	const char *about; /* "kernel", "fuse", "daemon", ... */
	enum ovbd_finding_level level;
	char text[256];    /* a sentence */
	char command[128]; /* that would change it; "": none */
};

#define OVBD_FINDINGS_MAX 32

struct ovbd_report {
	struct ovbd_finding findings[OVBD_FINDINGS_MAX];
	size_t n;
};

/* "ok", "warn", "fail" */
const char *ovbd_finding_level_name(enum ovbd_finding_level l);

/* Looks at everything. */
void ovbd_doctor_look(const struct ovbd_host *h, struct ovbd_report *ret);

/* The transports that were looked at, which are the findings of the same names; NULL at the end. */
extern const char *const ovbd_doctor_transports[];

/* Whether all that transport needs is there: it has findings, and none of them is a failure. */
bool ovbd_doctor_can(const struct ovbd_report *r, const char *transport);

/* --- for doctor_*.c --- */

void doctor_find(struct ovbd_report *r, const char *about, enum ovbd_finding_level level,
                 const char *command, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* path of the host, below its root; to be freed, NULL: out of memory. */
char *doctor_path(const struct ovbd_host *h, const char *path);

/* Whether there is such a path. */
bool doctor_exists(const struct ovbd_host *h, const char *path);

/* Whether a line of the file has word in it. */
bool doctor_mentions(const struct ovbd_host *h, const char *path, const char *word);

/* Whether this process has CAP_SYS_ADMIN: may mount, and talk to most drivers. */
bool doctor_is_admin(const struct ovbd_host *h);

/* A finding, unless the module is loaded or part of the kernel; true if it is. */
bool doctor_module(const struct ovbd_host *h, struct ovbd_report *r, const char *about,
                   const char *module);

void doctor_transports(const struct ovbd_host *h, struct ovbd_report *r);
void doctor_daemon(const struct ovbd_host *h, struct ovbd_report *r);
void doctor_limits(const struct ovbd_host *h, struct ovbd_report *r);

#endif
