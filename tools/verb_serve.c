// SPDX-License-Identifier: Apache-2.0
/*
 * Opens the image, then the transport, then serves, in this order: what is wrong with the image is
 * told before anything is to be seen of the file, and in the background before the command returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/fuse.h"
#include "daemon/serve.h"
#include "tools/serving.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

#define THREADS_DEFAULT 16
#define THREADS_MAX     1024

enum {
	OPTION_FUSE = OVBD_OPTION_LONG,
	OPTION_ALLOW_OTHER,
	OPTION_BACKGROUND,
	OPTION_FOREGROUND,
	OPTION_RUN,
};

static const struct ovbd_option options[] = {
	{OPTION_FUSE, "fuse", "FILE",
         "Present the image as the regular, read-only file FILE. FILE is created, or is an empty "
         "file; what a server that was killed has left there is cleared away."},
	OVBD_OPTION_FORMAT_ENTRY,
	{'j', "threads", "N", "Reads that are worked on at a time (default 16)."},
	{OPTION_ALLOW_OTHER, "allow-other", NULL,
         "Let all users open FILE, not only this one. Who is not root needs user_allow_other in "
         "/etc/fuse.conf for it."},
	{OPTION_FOREGROUND, "foreground", NULL, "Serve until a signal comes (the default)."},
	{OPTION_BACKGROUND, "background", NULL,
         "Return when FILE is there, and serve on in the background; messages go to the system's "
         "log."},
	{OPTION_RUN, "run", "COMMAND",
         "Serve while the shell runs COMMAND, which finds the file's name in $OVBD_FILE; exit "
         "with its status."},
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
	{"umount disk.raw", "end a server, as SIGTERM does (not as root: fusermount3 -u disk.raw)"},
	{NULL},
};

static int run(struct ovbd_cli *c);

const struct ovbd_verb ovbd_verb_serve = {
	.name = "serve",
	.summary = "Present an image as a file, without unpacking it",
	.usage = "--fuse FILE SRC...",
	.text = "SRC is a layer, a URL, an image configuration (JSON), or several layers, bottom "
		"first. The file can be loop-mounted, given to qemu, or read with anything.\n\n"
		"SIGINT, SIGTERM or SIGHUP ends the server and takes FILE away. If it is still in "
		"use, a loop device for one, its users are served until the last has closed it; a "
		"second signal ends the server at once and leaves them with errors. SIGUSR1 shows "
		"how much was read, and what of it was fetched; so does the end with -v.",
	.options = options,
	.examples = examples,
	.exits = "With --run, that of COMMAND, or 128 and the number of the signal that killed it.",
	.run = run,
};

struct arguments {
	const char *fuse;
	const char *command;
	enum ovbd_format format;
	unsigned nthreads;
	bool allow_other, background;
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

static int parse_option(struct ovbd_cli *c, int id, struct arguments *a)
{
	switch (id) {
	case OPTION_FUSE:
		a->fuse = c->value;
		return 0;
	case 'f':
		return ovbd_source_format(c, c->value, &a->format);
	case 'j':
		return parse_threads(c, &a->nthreads);
	case OPTION_ALLOW_OTHER:
		a->allow_other = true;
		return 0;
	case OPTION_FOREGROUND:
		a->background = false;
		return 0;
	case OPTION_BACKGROUND:
		a->background = true;
		return 0;
	default:
		a->command = c->value;
		return 0;
	}
}

/* 0, or -1 with c->status set. */
static int parse(struct ovbd_cli *c, struct arguments *a)
{
	int id;

	*a = (struct arguments){.nthreads = THREADS_DEFAULT};
	while ((id = ovbd_cli_next(c)) > 0)
		if (parse_option(c, id, a) < 0)
			return -1;
	if (id < 0)
		return -1;
	if (!a->fuse)
		ovbd_cli_usage(c, "--fuse FILE is missing");
	else if (c->noperands == 0)
		ovbd_cli_usage(c, "SRC is missing");
	else if (a->command && a->background)
		ovbd_cli_usage(c, "--run and --background exclude each other");
	else
		return 0;
	return -1;
}

/* In the child: returns 0, and *ret_ready_fd is where to write that the file is there. In the
 * parent: returns 1 when that has happened or the child has ended, with *ret_status. */
static int fork_background(struct ovbd_cli *c, int *ret_ready_fd, int *ret_status)
{
	int ends[2], status;
	char byte;
	pid_t pid;

	*ret_status = OVBD_EXIT_FAILURE;
	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		ovbd_cli_error(c, "going into the background: %s", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		close(ends[0]);
		setsid();
		*ret_ready_fd = ends[1];
		return 0;
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) == 1)
		*ret_status = OVBD_EXIT_OK;
	else if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		*ret_status = WEXITSTATUS(status);
	close(ends[0]);
	return 1;
}

/* The file is there: lets the parent go, and what belongs to its terminal. False: the parent has not
 * waited, so nobody knows of this server. */
static bool enter_background(struct ovbd_serving *s, int ready_fd)
{
	AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool told;

	openlog("ovbd", LOG_PID, LOG_DAEMON);
	s->to_syslog = true;
	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	told = chdir("/") == 0 && write(ready_fd, "", 1) == 1;
	close(ready_fd);
	return told;
}

static void tell_ready(const struct ovbd_serving *s)
{
	char size[OVBD_SIZE_TEXT];

	ovbd_serving_tell(s, false, "ready: %s, %zu layer%s",
	                  ovbd_size_text(size, s->img->blob->size), s->img->nlayers,
	                  s->img->nlayers == 1 ? "" : "s");
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
	struct ovbd_device device = {
		.blob = s->img->blob}; /* read-only; the image keeps the blob */
	int r, status = OVBD_EXIT_OK;
	struct ovbd_error err;

	r = ovbd_serving_start_control(s, &err);
	if (r == 0) {
		r = ovbd_serve(s->t, &device, &p, &err);
		status = ovbd_serving_join_control(s);
	}
	if (r < 0) {
		ovbd_serving_tell(s, true, "%s", err.msg);
		status = ovbd_exit_status(r, false);
	}
	if (s->c->verbose > 0)
		ovbd_serving_tell_stats(s);
	return status;
}

static int open_and_serve(struct ovbd_cli *c, const struct arguments *a, int ready_fd)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_serve_stats stats = {0};
	struct ovbd_serving s = {.c = c, .path = a->fuse, .stats = &stats};
	struct ovbd_fuse_params p = {
		.path = a->fuse,
		.nworkers = a->nthreads,
		.allow_other = a->allow_other,
	};
	struct ovbd_error err;
	int r, status;

	r = ovbd_source_open(c, c->operands, c->noperands, a->format, &img, &status);
	if (r < 0)
		return status;
	s.img = img;
	p.size = img->blob->size;
	ovbd_serving_block_signals(&s, a->command);
	r = ovbd_fuse_open(&p, &s.t, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	status = OVBD_EXIT_FAILURE;
	if (!a->background)
		tell_ready(&s);
	if (!a->background || enter_background(&s, ready_fd))
		status = serve(&s, a->nthreads);
	s.t->ops->close(s.t);
	return status;
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
	if (a.background && fork_background(c, &ready_fd, &status) != 0)
		return status;
	return open_and_serve(c, &a, ready_fd);
}
