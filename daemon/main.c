// SPDX-License-Identifier: Apache-2.0
/*
 * ovbdd: the device manager and the control API, put together. All signals are blocked in all
 * threads and taken by this one, which otherwise only tells the watchdog that it lives.
 *
 * Start: take the state directory (one daemon each), listen, give up what a server does not need,
 * begin to attach what the directory names, answer; ready once the old devices are there, or their
 * time is over. End: stop the devices first, which lets go the API's requests that wait for them, then
 * the API. A worker that still waits for a network is not waited for: then the process just ends, as
 * it may at any moment.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/api.h"
#include "daemon/confine.h"
#include "daemon/control_socket.h"
#include "daemon/devices.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/transports.h"

#define SETTLE_MS  10000 /* old devices may delay the start so long */
#define STOP_MS    1000
#define EXIT_USAGE 2

/* Images may be anybody's, and so may the files beneath them that take writes; who uses a device is
 * told by looking at the descriptors of every process. */
#define CAPS_OF_ALL (OVBD_CAP(DAC_READ_SEARCH) | OVBD_CAP(DAC_OVERRIDE) | OVBD_CAP(SYS_PTRACE))

struct ovbdd {
	struct ovbd_options options;
	struct ovbd_devices *devices;
	struct ovbd_api *api;
	char *socket;
	bool listens; /* on socket, which is ours to take away */
};

static void told(void *arg, bool error, const char *id, const char *sentence)
{
	(void)arg;
	if (id[0])
		ovbd_log(error ? OVBD_LOG_WARNING : OVBD_LOG_INFO, "device %s: %s", id, sentence);
	else
		ovbd_log(error ? OVBD_LOG_WARNING : OVBD_LOG_INFO, "%s", sentence);
}

/* In the thread of a request; the rest is done by the main thread. */
static void ask_reload(void *arg)
{
	(void)arg;
	kill(getpid(), SIGHUP);
}

static void block_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* In a signal handler. */
static void call_refused(const char *call)
{
	static const char before[] = "ovbdd: warning: the system call ",
			  after[] = " is not allowed: 'ovbd status' counts, --no-seccomp allows\n";
	char line[sizeof(before) + sizeof(after) + 32];
	size_t n = sizeof(before) - 1;

	memcpy(line, before, n);
	for (size_t i = 0; call[i] && i < 32; i++)
		line[n++] = call[i];
	memcpy(line + n, after, sizeof(after) - 1);
	n += sizeof(after) - 1;
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody listens */
}

static int confine(const struct ovbd_options *o, struct ovbd_error *err)
{
	struct ovbd_confine_params p = {.no_filter = o->no_seccomp, .refused = call_refused};
	struct ovbd_confinement now;
	bool filtered;
	int r;

	ovbd_transport_kinds_needs(&p.caps, &p.calls);
	p.caps |= CAPS_OF_ALL;
	r = ovbd_confine(&p, &filtered, err);
	if (r == 0)
		r = ovbd_confinement_read(&now, err);
	if (r == 0)
		ovbd_log(OVBD_LOG_DEBUG, "capabilities %#llx, no_new_privs %s, seccomp %s",
		         (unsigned long long)now.caps, now.no_new_privs ? "yes" : "no",
		         filtered ? "filter" : "none");
	return r;
}

/* As many files as the host lets it have; many devices need them. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int listen_control(struct ovbdd *d, int *ret_fd, struct ovbd_error *err)
{
	int r;

	if (d->options.socket)
		d->socket = strdup(d->options.socket);
	else if (asprintf(&d->socket, "%s/ovbdd.sock", d->options.state_dir) < 0)
		d->socket = NULL;
	if (!d->socket)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_control_socket_listen(d->socket, ret_fd, err);
	d->listens = r == 0;
	return r;
}

static int start(struct ovbdd *d, struct ovbd_error *err)
{
	const struct ovbd_devices_params p = {
		.state_dir = d->options.state_dir,
		.nworkers = d->options.nworkers,
		.told = told,
	};
	struct ovbd_api_params api = {.version = OVBD_VERSION, .reload = ask_reload};
	int r;

	raise_limits();
	r = ovbd_devices_open(&p, &d->devices, err);
	if (r == 0)
		r = listen_control(d, &api.take_fd, err);
	if (r == 0) /* there is no other thread yet, and no image has been read */
		r = confine(&d->options, err);
	if (r == 0)
		r = ovbd_devices_recover(d->devices, err);
	api.devices = d->devices;
	if (r == 0)
		r = ovbd_api_start(&api, &d->api, err);
	if (r < 0)
		return r;
	ovbd_devices_settle(d->devices, SETTLE_MS);
	ovbd_notify("READY=1");
	ovbd_log(OVBD_LOG_INFO, "ready: listening on %s", d->socket);
	return 0;
}

static void reload(struct ovbdd *d)
{
	struct ovbd_error err;

	ovbd_notify("RELOADING=1");
	if (ovbd_options_load(&d->options, &err) < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s; goes on as before", err.msg);
	ovbd_log_set(d->options.level);
	ovbd_devices_retry(d->devices);
	ovbd_log(OVBD_LOG_INFO, "reloaded");
	ovbd_notify("READY=1");
}

/* Until a signal that ends it. */
static void run(struct ovbdd *d, const sigset_t *signals)
{
	const unsigned ms = ovbd_notify_watchdog_ms();
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	int sig;

	for (;;) {
		sig = sigtimedwait(signals, NULL, ms ? &pause : NULL);
		if (sig == SIGHUP) {
			reload(d);
		} else if (sig > 0) {
			ovbd_log(OVBD_LOG_INFO, "%s: ending", strsignal(sig));
			return;
		}
		if (ms) {
			ovbd_devices_show(d->devices, "", NULL, NULL); /* its lock is free */
			ovbd_notify("WATCHDOG=1");
		}
	}
}

static void finish(struct ovbdd *d)
{
	struct ovbd_error err = {0};
	size_t left;

	ovbd_notify("STOPPING=1");
	if (d->devices && d->options.drain_on_exit &&
	    ovbd_devices_drain(d->devices, OVBD_DETACH_LAZY, &err) != 0)
		ovbd_log(OVBD_LOG_WARNING, "draining: %s", err.msg);
	if (d->listens)
		unlink(d->socket); /* before the lock of the state directory is given up */
	left = d->devices ? ovbd_devices_stop(d->devices, STOP_MS) : 0;
	if (left > 0) {
		ovbd_log(OVBD_LOG_INFO, "leaves %zu devices to the next ovbdd", left);
		_exit(EXIT_SUCCESS);
	}
	ovbd_api_stop(d->api);
	ovbd_devices_close(d->devices);
	free(d->socket);
}

int main(int argc, char **argv)
{
	struct ovbdd d = {0};
	struct ovbd_error err;
	sigset_t signals;
	int r = ovbd_options_parse(argc, argv, &d.options, &err);

	if (r < 0) {
		ovbd_log(OVBD_LOG_ERROR, "%s", err.msg);
		return EXIT_USAGE;
	}
	if (d.options.help || d.options.version) {
		fputs(d.options.help ? ovbd_options_help : "ovbdd " OVBD_VERSION "\n", stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (d.options.check)
		return EXIT_SUCCESS;
	ovbd_log_set(d.options.level);
	block_signals(&signals);
	r = start(&d, &err);
	if (r < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s", err.msg);
	else
		run(&d, &signals);
	finish(&d);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
