// SPDX-License-Identifier: Apache-2.0
/*
 * Opens the image, then the transport, then serves, in this order: what is wrong with the image is
 * told before anything is to be seen of the file, and in the background before the command returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/serve.h"
#include "tools/serving.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

#define THREADS_DEFAULT 16
#define THREADS_MAX     1024
#define ID_MAX          ((1 << 20) - 1) /* the kernel's minor numbers */

enum {
	OPTION_FUSE = OVBD_OPTION_LONG,
	OPTION_NBD,
	OPTION_UBLK,
	OPTION_ID,
	OPTION_EXPORT,
	OPTION_RW,
	OPTION_TLS,
	OPTION_TLS_CERTIFICATES,
	OPTION_TLS_PSK,
	OPTION_TLS_VERIFY_PEER,
	OPTION_ALLOW_OTHER,
	OPTION_BACKGROUND,
	OPTION_FOREGROUND,
	OPTION_RUN,
	OPTION_RECORD_TRACE,
	OPTION_NO_SECCOMP,
};

static const struct ovbd_option options[] = {
	{OPTION_FUSE, "fuse", "FILE",
         "Present the image as the regular, read-only file FILE. FILE is created, or is an empty "
         "file; what a server that was killed has left there is cleared away."},
	{OPTION_NBD, "nbd", "ADDRESS",
         "Serve it to NBD clients (qemu, nbdcopy, a kernel's) at ADDRESS: HOST:PORT, or the path "
         "of a "
         "Unix socket, which is made; ./NAME:1 is a path too."},
	{OPTION_UBLK, "ublk", NULL,
         "Make it a disk of the kernel, /dev/ublkbN, whose name is printed when it is there. Needs "
         "root, and Linux 6.5 or later with the module ublk_drv."},
	{OPTION_ID, "id", "N",
         "The N of the ublk disk. If it is there, and its server was killed, it is taken over, "
         "with the requests that wait."},
	{OPTION_EXPORT, "export", "NAME",
         "The NBD export's name (default: the empty one, which always leads to it)."},
	{OPTION_RW, "rw", NULL,
         "Let the users write: SRC is one raw file or block device, written in place, or an image "
         "configuration with a writable layer, which takes what is written."},
	{OPTION_TLS_CERTIFICATES, "tls-certificates", "DIR",
         "Let NBD clients in by TLS only. DIR has server-cert.pem and server-key.pem."},
	{OPTION_TLS_PSK, "tls-psk", "FILE",
         "The same by shared keys: FILE has lines of username:hexkey, as psktool makes them."},
	{OPTION_TLS_VERIFY_PEER, "tls-verify-peer", NULL,
         "With --tls-certificates: only clients whose certificate DIR/ca-cert.pem has signed."},
	{OPTION_TLS, "tls", "require|on", "'on' also lets clients in that use no TLS."},
	OVBD_OPTION_FORMAT_ENTRY,
	OVBD_CACHE_OPTIONS,
	OVBD_PREFETCH_OPTIONS,
	OVBD_REMOTE_OPTIONS,
	{'j', "threads", "N", "Requests that are worked on at a time (default 16)."},
	{OPTION_RECORD_TRACE, "record-trace", "FILE",
         "Record which ranges of which layers are read, in order, and write them to FILE at the "
         "end, "
         "and at SIGUSR1: see ovbd trace."},
	{OPTION_ALLOW_OTHER, "allow-other", NULL,
         "Let all users open FILE, not only this one. Who is not root needs user_allow_other in "
         "/etc/fuse.conf for it."},
	{OPTION_FOREGROUND, "foreground", NULL, "Serve until a signal comes (the default)."},
	{OPTION_BACKGROUND, "background", NULL,
         "Return when it can be opened, and serve on in the background; messages go to the "
         "system's log."},
	{OPTION_NO_SECCOMP, "no-seccomp", NULL,
         "Do not filter the system calls of a server that root has started."},
	{OPTION_RUN, "run", "COMMAND",
         "Serve while the shell runs COMMAND, which finds the file's name in $OVBD_FILE, or an NBD "
         "server's URI in $OVBD_URI; exit with its status."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd serve --fuse disk.raw base.ovbd delta.ovbd",
         "serve the stack of two layers as disk.raw"},
	{"mount -o loop,ro disk.raw /mnt", "and mount the file system that is in it"},
	{"ovbd serve --fuse disk.raw --background https://example.org/disk.ovbd",
         "serve a remote layer, of which only what is read is fetched"},
	{"ovbd serve --fuse disk.raw --run 'qemu-img info disk.raw' image.json",
         "serve for as long as a command runs"},
	{"ovbd serve --nbd disk.sock image.json", "serve it to qemu, as nbd:unix:disk.sock"},
	{"ovbd serve --nbd [::1]:10809 --rw scratch.raw", "a raw file that clients may write"},
	{"ovbd serve --nbd :10809 --tls-psk keys.psk image.json",
         "to other hosts, whose users have a key"},
	{"ovbd serve --ublk --id 3 --background image.json", "make it the disk /dev/ublkb3"},
	{"umount disk.raw", "end a server, as SIGTERM does (not as root: fusermount3 -u disk.raw)"},
	{NULL},
};

static int run(struct ovbd_cli *c);

const struct ovbd_verb ovbd_verb_serve = {
	.name = "serve",
	.summary = "Serve an image as a file, a disk or by NBD, without unpacking it",
	.usage = "--fuse FILE|--nbd ADDRESS|--ublk SRC...",
	.text = "SRC is a layer, a URL, an image configuration (JSON), or several layers, bottom "
		"first. The file can be loop-mounted, given to qemu, or read with anything.\n\n"
		"SIGINT, SIGTERM or SIGHUP ends the server and takes FILE, the socket or the disk "
		"away. If it is still in use, by a loop device, an NBD client or a mount, its "
		"users are served until the last has closed it; a second signal ends the server at "
		"once and leaves them with errors. SIGUSR1 shows how much was read, and what of "
		"it was fetched; so does the end with -v.",
	.options = options,
	.examples = examples,
	.exits = "With --run, that of COMMAND, or 128 and the number of the signal that killed it.",
	.run = run,
};

struct arguments {
	const char *fuse;
	const char *nbd;
	struct ovbd_serving_nbd of_nbd;
	const char *command;
	const char *record;
	struct ovbd_image_prefetch prefetch;
	enum ovbd_format format;
	unsigned nthreads;
	int id;
	bool no_seccomp, ublk, allow_other, background, writable;
};

static int parse_threads(struct ovbd_cli *c, unsigned *ret)
{
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	if (c->value[0] < '0' || c->value[0] > '9' || *end || n < 1 || n > THREADS_MAX) {
		ovbd_cli_usage(c, "-j %s: a number of threads is from 1 to %d", c->value,
		               THREADS_MAX);
		return -1;
	}
	*ret = (unsigned)n;
	return 0;
}

static int parse_id(struct ovbd_cli *c, int *ret)
{
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	if (c->value[0] < '0' || c->value[0] > '9' || *end || n > ID_MAX) {
		ovbd_cli_usage(c, "--id %s: a number of a disk is from 0 to %d", c->value, ID_MAX);
		return -1;
	}
	*ret = (int)n;
	return 0;
}

static int parse_nbd_option(struct ovbd_cli *c, int id, struct ovbd_serving_nbd *a)
{
	switch (id) {
	case OPTION_EXPORT:
		a->export = c->value;
		return 0;
	case OPTION_TLS_CERTIFICATES:
		a->tls_certificates = c->value;
		return 0;
	case OPTION_TLS_PSK:
		a->tls_psk = c->value;
		return 0;
	case OPTION_TLS_VERIFY_PEER:
		a->tls_verify_peer = true;
		return 0;
	default:
		a->tls_optional = strcmp(c->value, "on") == 0;
		if (a->tls_optional || strcmp(c->value, "require") == 0)
			return 0;
		ovbd_cli_usage(c, "--tls %s: must be 'require' or 'on'", c->value);
		return -1;
	}
}

static int parse_option(struct ovbd_cli *c, int id, struct arguments *a)
{
	switch (id) {
	case OPTION_FUSE:
		a->fuse = c->value;
		return 0;
	case OPTION_NBD:
		a->nbd = c->value;
		return 0;
	case OPTION_UBLK:
		a->ublk = true;
		return 0;
	case OPTION_ID:
		return parse_id(c, &a->id);
	case OPTION_EXPORT:
	case OPTION_TLS:
	case OPTION_TLS_CERTIFICATES:
	case OPTION_TLS_PSK:
	case OPTION_TLS_VERIFY_PEER:
		return parse_nbd_option(c, id, &a->of_nbd);
	case OPTION_RW:
		a->writable = true;
		return 0;
	case 'f':
		return ovbd_source_format(c, c->value, &a->format);
	case 'j':
		return parse_threads(c, &a->nthreads);
	case OPTION_RECORD_TRACE:
		a->record = c->value;
		return 0;
	case OPTION_ALLOW_OTHER:
		a->allow_other = true;
		return 0;
	case OPTION_NO_SECCOMP:
		a->no_seccomp = true;
		return 0;
	case OPTION_FOREGROUND:
		a->background = false;
		return 0;
	case OPTION_BACKGROUND:
		a->background = true;
		return 0;
	case OPTION_RUN:
		a->command = c->value;
		return 0;
	default:
		return ovbd_source_prefetch_option(c, id, &a->prefetch) < 0 ? -1 : 0;
	}
}

/* Of what excludes each other, or goes with something that is not there; NULL: nothing. */
static const char *contradiction(const struct arguments *a)
{
	if (!a->fuse && !a->nbd && !a->ublk)
		return "--fuse FILE, --nbd ADDRESS or --ublk is missing";
	if ((a->fuse && a->nbd) || (a->fuse && a->ublk) || (a->nbd && a->ublk))
		return "--fuse, --nbd and --ublk exclude each other";
	if (a->of_nbd.export && !a->nbd)
		return "--export goes with --nbd";
	if ((a->of_nbd.tls_certificates || a->of_nbd.tls_psk) && !a->nbd)
		return "--tls-certificates and --tls-psk go with --nbd";
	if (a->of_nbd.tls_certificates && a->of_nbd.tls_psk)
		return "--tls-certificates and --tls-psk exclude each other";
	if (a->of_nbd.tls_verify_peer && !a->of_nbd.tls_certificates)
		return "--tls-verify-peer goes with --tls-certificates";
	if (a->of_nbd.tls_optional && !a->of_nbd.tls_certificates && !a->of_nbd.tls_psk)
		return "--tls goes with --tls-certificates or --tls-psk";
	if (a->id >= 0 && !a->ublk)
		return "--id goes with --ublk";
	if (a->allow_other && !a->fuse)
		return "--allow-other goes with --fuse";
	if (a->record && a->writable)
		return "--record-trace and --rw exclude each other";
	if (a->command && a->background)
		return "--run and --background exclude each other";
	return NULL;
}

/* 0, or -1 with c->status set. */
static int parse(struct ovbd_cli *c, struct arguments *a)
{
	const char *wrong;
	int id;

	*a = (struct arguments){.nthreads = THREADS_DEFAULT, .id = -1};
	while ((id = ovbd_cli_next(c)) > 0)
		if (parse_option(c, id, a) < 0)
			return -1;
	if (id < 0)
		return -1;
	wrong = contradiction(a);
	if (ovbd_source_prefetch_check(c, &a->prefetch) < 0)
		return -1;
	if (wrong)
		ovbd_cli_usage(c, "%s", wrong);
	else if (c->noperands == 0)
		ovbd_cli_usage(c, "SRC is missing");
	else if (a->writable && c->noperands > 1)
		ovbd_cli_usage(c,
		               "--rw takes one SRC: a raw file, a block device or a configuration");
	else
		return 0;
	return -1;
}

static void tell_ready(const struct ovbd_serving *s)
{
	char size[OVBD_SIZE_TEXT], layers[32] = "writable";
	const bool named = s->uri != NULL;

	if (s->img)
		snprintf(layers, sizeof(layers), "%zu layer%s%s", s->img->nlayers,
		         s->img->nlayers == 1 ? "" : "s",
		         ovbd_device_is_writable(s->device) ? ", writable" : "");
	ovbd_serving_tell(s, false, "ready: %s, %s%s%s",
	                  ovbd_size_text(size, s->device->blob->size), layers, named ? ", " : "",
	                  named ? s->uri : "");
}

/* It can be opened: lets the user know, and has signals heeded. What fails was told. */
static int begin(struct ovbd_serving *s)
{
	struct ovbd_error err;
	int r;

	if (s->disk[0]) {
		puts(s->disk);
		fflush(stdout);
	}
	if (s->ready_fd < 0)
		tell_ready(s);
	else if (!ovbd_serving_enter_background(s, s->ready_fd))
		return -EPIPE;
	r = ovbd_serving_start_control(s, &err);
	if (r < 0)
		ovbd_serving_tell(s, true, "%s", err.msg);
	s->begun = r == 0;
	return r;
}

/* The same for a transport that tells by itself when it is there. */
static void begin_later(void *arg)
{
	struct ovbd_serving *s = arg;

	if (begin(s) < 0)
		s->t->ops->stop(s->t);
}

/* Serves until the end, which has been told; returns the exit status. */
static int serve(struct ovbd_serving *s, unsigned nthreads)
{
	const struct ovbd_serve_params p = {
		.nworkers = nthreads,
		.failed = ovbd_serving_failed,
		.arg = s,
		.stats = s->stats,
	};
	int r, status = OVBD_EXIT_FAILURE;
	struct ovbd_error err;

	if (!s->disk[0] && begin(s) < 0)
		return status;
	r = ovbd_serve(s->t, s->device, &p, &err);
	if (s->begun)
		status = ovbd_serving_join_control(s);
	if (r < 0) {
		ovbd_serving_tell(s, true, "%s", err.msg);
		status = ovbd_exit_status(r, false);
	}
	if (s->c->verbose > 0)
		ovbd_serving_tell_stats(s);
	r = ovbd_serving_save_trace(s);
	return r < 0 && status == 0 ? ovbd_exit_status(r, false) : status;
}

static enum ovbd_serving_by kind_of(const struct arguments *a)
{
	if (a->fuse)
		return OVBD_SERVING_FUSE;
	return a->ublk ? OVBD_SERVING_UBLK : OVBD_SERVING_NBD;
}

static int open_and_serve(struct ovbd_cli *c, const struct arguments *a, int ready_fd)
{
	OVBD_AUTO(ovbd_serving_close) struct ovbd_serving s = {.c = c, .ready_fd = ready_fd};
	struct ovbd_serve_stats stats = {0};
	int status;

	s.path = a->fuse ? a->fuse : a->nbd ? a->nbd : "ublk";
	s.stats = &stats;
	s.prefetch = a->prefetch;
	if (!a->command) {
		status = ovbd_serving_confine(&s, kind_of(a), a->no_seccomp);
		if (status != 0)
			return status;
	}
	status = ovbd_serving_start_recording(&s, a->record);
	if (status != 0)
		return status;
	status = ovbd_serving_open_source(&s, a->writable, a->format);
	if (status != 0)
		return status;
	ovbd_serving_block_signals(&s, a->command);
	if (a->fuse)
		status = ovbd_serving_open_fuse(&s, a->allow_other, a->nthreads);
	else if (a->ublk)
		status = ovbd_serving_open_ublk(&s, a->id, a->nthreads, begin_later);
	else
		status = ovbd_serving_open_nbd(&s, &a->of_nbd, a->nthreads);
	return status != 0 ? status : serve(&s, a->nthreads);
}

/* A descriptor that is opened while a standard one is closed would take its place, and be written
 * messages to. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int run(struct ovbd_cli *c)
{
	struct arguments a;
	int ready_fd = -1, status;

	if (parse(c, &a) < 0)
		return c->status;
	open_standard_fds();
	if (a.background && ovbd_serving_fork(c, &ready_fd, &status) != 0)
		return status;
	return open_and_serve(c, &a, ready_fd);
}
