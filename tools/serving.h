/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of "ovbd serve": what a running server tells, and how it ends. */
#ifndef OVBD_TOOLS_SERVING_H
#define OVBD_TOOLS_SERVING_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/device.h"
#include "image/image.h"
#include "tools/cli.h"

struct ovbd_nbd_tls;
struct ovbd_serve_stats;
struct ovbd_request;
struct ovbd_transport;

/* What is asked of an NBD server. */
struct ovbd_serving_nbd {
	const char *export;                     /* NULL: the empty name */
	const char *tls_certificates, *tls_psk; /* one of them, or neither */
	bool tls_optional, tls_verify_peer;
};

struct ovbd_serving {
	const struct ovbd_cli *c;
	const char
		*path; /* the file's place, or the NBD server's address, as it was given; or disk */
	const char *uri; /* of an NBD server; NULL: it is a file */
	char disk[32];   /* a ublk disk's name; else "" */
	struct ovbd_transport *t;

	/* verb_serve.c's own. */
	int ready_fd;      /* as of ovbd_serving_fork(), or -1: in the foreground */
	atomic_bool begun; /* it can be opened, and signals are heeded */

	/* serve_open.c's own, but to be looked at. */
	struct ovbd_device *device;   /* one of the following */
	struct ovbd_device *writable; /* or NULL */
	struct ovbd_device read_only; /* the image keeps its blob */
	struct ovbd_nbd_tls *tls;     /* or NULL */
	struct ovbd_image *img;       /* NULL: a device that is writable */
	struct ovbd_downloads *downloads;

	struct ovbd_image_prefetch prefetch;

	/* serve_trace.c's own. */
	struct ovbd_recorder *recorder; /* NULL: nothing is recorded */
	const char *trace_path;

	struct ovbd_serve_stats *stats;
	atomic_bool to_syslog; /* there is no terminal: it runs in the background */

	/* serve_run.c's own. */
	const char *command; /* to run meanwhile, or NULL */
	sigset_t signals;    /* that are waited for */
	sigset_t old_mask;
	pthread_t control;
	pid_t child; /* while the command runs */
	int child_status;
	bool leaving;      /* the first signal to end has come */
	bool stopped;      /* and the second */
	atomic_bool ended; /* ovbd_serve() has returned */

	/* serve_stats.c's own: failed requests, told once a second at most. */
	_Atomic long long told_ms;
	_Atomic unsigned long untold;
};

enum ovbd_serving_by { OVBD_SERVING_FUSE, OVBD_SERVING_NBD, OVBD_SERVING_UBLK };

/* Gives up what such a server does not need, before it opens anything. 0, or as below. */
int ovbd_serving_confine(const struct ovbd_serving *s, enum ovbd_serving_by by, bool no_filter);

/* Open what the operands name (writable: the one operand), and then a transport for it. 0, or the
 * exit status of a failure that has been told. */
int ovbd_serving_open_source(struct ovbd_serving *s, bool writable, enum ovbd_format f);
int ovbd_serving_open_nbd(struct ovbd_serving *s, const struct ovbd_serving_nbd *a,
                          unsigned nworkers);
int ovbd_serving_open_fuse(struct ovbd_serving *s, bool allow_other, unsigned nworkers);

/* id: -1 is any. begin(s) is called when the disk is there: not before ovbd_serve() runs, and in
 * another thread. */
int ovbd_serving_open_ublk(struct ovbd_serving *s, int id, unsigned nworkers,
                           void (*begin)(void *s));

/* Has what is opened next recorded, for the file path; NULL: not. 0, or an exit status. */
int ovbd_serving_start_recording(struct ovbd_serving *s, const char *path);

/* Writes it, if it was to be recorded. What fails is told. */
int ovbd_serving_save_trace(struct ovbd_serving *s);

void ovbd_serving_close(struct ovbd_serving *s);

/* In the child: returns 0, and *ret_ready_fd is where to write that the server is there. In the
 * parent: returns 1 when that has happened or the child has ended, with *ret_status. */
int ovbd_serving_fork(struct ovbd_cli *c, int *ret_ready_fd, int *ret_status);

/* The server is there: lets the parent go, and what belongs to its terminal. False: the parent has
 * not waited, so nobody knows of this server. */
bool ovbd_serving_enter_background(struct ovbd_serving *s, int ready_fd);

/* Before any thread is started: the signals are for serve_run.c. command may be NULL. */
void ovbd_serving_block_signals(struct ovbd_serving *s, const char *command);

/* Runs the command, if there is one, and waits for it and for signals, in a thread of its own. The
 * end of the command or a first signal detaches the transport, a second signal stops it. */
int ovbd_serving_start_control(struct ovbd_serving *s, struct ovbd_error *err);

/* When ovbd_serve() has returned: waits for the command. Returns its exit status, or 0. */
int ovbd_serving_join_control(struct ovbd_serving *s);

/* An ovbd_serve_failed_fn; arg is the struct ovbd_serving. */
void ovbd_serving_failed(void *arg, const struct ovbd_request *rq, int code,
                         const struct ovbd_error *why);

/* How much was read and written, and what of it was fetched over the network. */
void ovbd_serving_tell_stats(struct ovbd_serving *s);

/* A line for the operator: standard error, or the system's log. Errors also with -q. */
void ovbd_serving_tell(const struct ovbd_serving *s, bool is_error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
