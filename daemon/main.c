// SPDX-License-Identifier: Apache-2.0
/*
 * ovbdd: the device manager and the control API, put together; also as overlaybd-tcmu. All signals
 * are blocked in all threads and taken by this one, which otherwise only tells the watchdog that it
 * lives.
 *
 * Start: take the state directory (one daemon each), listen, give up what a server does not need,
 * begin to serve the disks that the kernel has kept for others, and to attach what the directory
 * names, answer; ready once the old devices are there, or their time is over. End: stop the devices
 * first, which lets go the API's requests that wait for them, then the API. A worker that still
 * waits for a network is not waited for: then the process just ends, as it may at any moment.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/api.h"
#include "daemon/background.h"
#include "daemon/confine.h"
#include "daemon/control_socket.h"
#include "daemon/devices.h"
#include "daemon/dmuser.h"
#include "daemon/exporter.h"
#include "daemon/log.h"
#include "daemon/many_files.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/snapshot_service.h"
#include "daemon/snapuserd.h"
#include "daemon/tcmu_watch.h"
#include "daemon/transports.h"

#define SETTLE_MS  10000 /* old devices may delay the start so long */
#define STOP_MS    1000
#define DRAIN_MS   10000
#define PING_MS    5000
#define AGAIN_MS   1000 /* to look again whether all is well, if it is not */
#define EXIT_USAGE 2

/* Images may be anybody's, and so may the files beneath them that take writes; who uses a device is
 * told by looking at the descriptors of every process. */
#define CAPS_OF_ALL (OVBD_CAP(DAC_READ_SEARCH) | OVBD_CAP(DAC_OVERRIDE) | OVBD_CAP(SYS_PTRACE))

struct ovbdd {
	struct ovbd_options said, options;
	struct ovbd_log_file *log, *audit;
	struct ovbd_devices *devices;
	struct ovbd_background *background;
	struct ovbd_metrics *metrics;
	struct ovbd_tcmu_watch *tcmu; /* NULL: TCMU disks of others are not served */
	struct ovbd_api *api;
	struct ovbd_exporter *exporter;
	struct ovbd_snapshot_service *service;
	struct ovbd_snapuserd *snapuserd; /* NULL: not wanted */
	char *snapuserd_socket;           /* NULL: nobody listens there */
	char *socket;
	bool listens; /* on socket, which is ours to take away */
};

static void told(void *arg, bool error, const char *id, const char *sentence)
{
	(void)arg;
	if (id[0])
		ovbd_log_audit(id, sentence);
	if (id[0])
		ovbd_log(error ? OVBD_LOG_WARNING : OVBD_LOG_INFO, "device %s: %s", id, sentence);
	else
		ovbd_log(error ? OVBD_LOG_WARNING : OVBD_LOG_INFO, "%s", sentence);
}

static void asked(void *arg, const char *sentence)
{
	(void)arg;
	ovbd_log_audit("", sentence);
}

/* In the thread of a request; the rest is done by the main thread. */
static int ask_reload(void *arg, struct ovbd_error *err)
{
	const struct ovbdd *d = arg;
	struct ovbd_options tried = {0};
	int r = ovbd_options_load(&d->said, &tried, err);

	ovbd_options_free(&tried);
	return r < 0 || kill(getpid(), SIGHUP) == 0 ? r : ovbd_fail_errno(err, -errno, "kill");
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

/* A daemon without its log file serves all the same; it says so where it can. */
static struct ovbd_log_file *open_log_file(const struct ovbd_options *o, const char *path)
{
	const struct ovbd_log_file_params p = {
		.path = path,
		.size_max = o->log_file_size,
		.nold = (unsigned)o->nlog_files,
	};
	struct ovbd_log_file *f = NULL;
	struct ovbd_error err;

	if (path[0] && ovbd_log_file_open(&p, &f, &err) < 0)
		ovbd_log(OVBD_LOG_WARNING, "%s; goes on without it", err.msg);
	return f;
}

static void tell_configuration(const struct ovbd_options *o)
{
	if (o->config_missing)
		ovbd_log(OVBD_LOG_WARNING, "%s is not there: the defaults hold", o->config);
	if (o->ignored[0])
		ovbd_log(OVBD_LOG_INFO, "%s: of no effect in this version: %s", o->config,
		         o->ignored);
}

static void start_log(struct ovbdd *d)
{
	ovbd_log_set(d->options.level);
	d->log = open_log_file(&d->options, d->options.log_file);
	d->audit = open_log_file(&d->options, d->options.audit_file);
	ovbd_log_files(d->log, d->audit);
	tell_configuration(&d->options);
}

/* The metrics over TCP are for onlookers: nobody's disks wait for their port. */
static int listen_metrics(const struct ovbd_options *o, int *ret_fd, struct ovbd_error *err)
{
	const char *address = o->metrics_port[0] ? o->metrics_port : o->metrics;
	struct ovbd_error why;
	int r;

	if (!address[0])
		return 0;
	r = ovbd_exporter_listen(address, ret_fd, &why);
	if (r == -EINVAL)
		return ovbd_fail(err, r, "%s", why.msg);
	if (r < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s; goes on without it", why.msg);
	return 0;
}

/* The same: without it no snapshots are made, and that is all. */
static int listen_service(const struct ovbd_options *o, int *ret_fd, struct ovbd_error *err)
{
	struct ovbd_error why;
	const int r = o->service[0] ? ovbd_snapshot_service_listen(o->service, ret_fd, &why) : 0;

	if (r == -EINVAL)
		return ovbd_fail(err, r, "%s", why.msg);
	if (r < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s; goes on without it", why.msg);
	return 0;
}

static int start_metrics(struct ovbdd *d, int take_fd, struct ovbd_error *err)
{
	const struct ovbd_metrics_params p = {
		.devices = d->devices,
		.cache = ovbd_background_cache(d->background),
		.original = d->options.metrics_original,
		.interval_ms = d->options.metrics_interval_ms,
	};
	const int r = ovbd_metrics_open(&p, &d->metrics, err);

	if (r < 0 || take_fd < 0)
		return r;
	return ovbd_exporter_start(take_fd, d->options.metrics_path, d->metrics, &d->exporter, err);
}

static void call_refused(const char *call)
{
	ovbd_confine_tell("ovbdd: warning: the system call ", call,
	                  " is not allowed: 'ovbd status' counts, --no-seccomp allows\n");
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

/* Not every host has TCMU, and not every ovbdd is the one that listens; in the place of overlaybd's
 * it is there for nothing else, and goes on because a reload can mend it. */
static void start_tcmu(struct ovbdd *d)
{
	const struct ovbd_tcmu_watch_params p = {.devices = d->devices, .told = told};
	const struct ovbd_transport_kind *kind;
	struct ovbd_error err;

	if (ovbd_transport_kind_find("tcmu", &kind, NULL) < 0) /* not wanted */
		return;
	if (!d->tcmu && ovbd_tcmu_watch_start(&p, &d->tcmu, &err) < 0)
		ovbd_log(d->options.drop_in ? OVBD_LOG_ERROR : OVBD_LOG_INFO,
		         "TCMU disks made by others are not served: %s", err.msg);
}

/* Of an option, which has been looked at when it was read. */
static mode_t snapuserd_mode(const struct ovbd_options *o)
{
	return (mode_t)strtoul(o->snapuserd_mode, NULL, 8);
}

static int listen_snapuserd(struct ovbdd *d, int *ret_fd, struct ovbd_error *err)
{
	const struct ovbd_options *o = &d->options;
	char *path;
	int r;

	if (!o->snapuserd[0])
		return 0;
	path = strdup(o->snapuserd);
	if (!path)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_control_socket_listen(path, ret_fd, err);
	if (r < 0)
		free(path);
	else
		d->snapuserd_socket = path;
	if (r == 0 && o->snapuserd_mode[0] && chmod(path, snapuserd_mode(o)) < 0)
		r = ovbd_fail_errno(err, -errno, "%s: its mode", path);
	return r;
}

static int start_snapuserd(struct ovbdd *d, int take_fd, struct ovbd_error *err)
{
	const struct ovbd_snapuserd_params p = {
		.devices = d->devices,
		.take_fd = take_fd,
		.told = told,
	};

	return take_fd < 0 ? 0 : ovbd_snapuserd_start(&p, &d->snapuserd, err);
}

/* As images have it, unless it was said. */
static enum ovbd_prefetch_mode prefetch_mode(const struct ovbd_options *o)
{
	enum ovbd_prefetch_mode mode = OVBD_PREFETCH_AUTO;

	if (o->prefetch[0])
		ovbd_prefetch_mode_parse(o->prefetch, &mode);
	return mode;
}

static int start(struct ovbdd *d, struct ovbd_error *err)
{
	const struct ovbd_registry_params registry =
		ovbd_registry_settings_params(&d->options.registry);
	const struct ovbd_devices_params p = {
		.state_dir = d->options.state_dir,
		.nworkers = (unsigned)d->options.nworkers,
		.registry = &registry,
		.deadline_ms = (unsigned)d->options.registry.deadline_s * 1000,
		.user_agent = d->options.user_agent,
		.prefetch = prefetch_mode(&d->options),
		.prefetch_params = {.concurrency = (unsigned)d->options.prefetch_concurrency,
	                            .rate = d->options.prefetch_rate},
		.wait_ms = (unsigned)d->options.image_wait_s * 1000,
		.told = told,
	};
	struct ovbd_api_params api = {.version = OVBD_VERSION,
	                              .reload = ask_reload,
	                              .arg = d,
	                              .asked = asked};
	int metrics_fd = -1, service_fd = -1, snapuserd_fd = -1, r;

	ovbd_many_files();
	ovbd_dmuser_set_dir(d->options.dm_user_dir);
	r = ovbd_devices_open(&p, &d->devices, err);
	if (r == 0)
		r = listen_control(d, &api.take_fd, err);
	if (r == 0)
		r = listen_snapuserd(d, &snapuserd_fd, err);
	if (r == 0)
		r = listen_metrics(&d->options, &metrics_fd, err);
	if (r == 0)
		r = listen_service(&d->options, &service_fd, err);
	if (r == 0)
		r = ovbd_transport_kinds_prepare(err);
	if (r == 0) /* there is no other thread yet, and no image has been read */
		r = confine(&d->options, err);
	if (r == 0)
		r = ovbd_background_start(&d->options, d->devices, &d->background, err);
	if (r == 0)
		start_tcmu(d);
	if (r == 0)
		r = ovbd_devices_recover(d->devices, err);
	if (r == 0)
		r = start_metrics(d, metrics_fd, err);
	if (r == 0 && service_fd >= 0)
		r = ovbd_snapshot_service_start(service_fd, d->devices, &d->service, err);
	if (r == 0)
		r = start_snapuserd(d, snapuserd_fd, err);
	api.devices = d->devices;
	api.metrics = d->metrics;
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
	if (ovbd_options_load(&d->said, &d->options, &err) < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s; goes on as before", err.msg);
	ovbd_log_set(d->options.level);
	if (d->log && ovbd_log_file_reopen(d->log, &err) < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s; goes on with the old one", err.msg);
	if (d->audit && ovbd_log_file_reopen(d->audit, &err) < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s; goes on with the old one", err.msg);
	start_tcmu(d);
	ovbd_devices_set_workers(d->devices, (unsigned)d->options.nworkers);
	ovbd_devices_retry(d->devices);
	ovbd_log(OVBD_LOG_INFO, "reloaded");
	ovbd_notify("READY=1");
}

/* Whether those that wait for this process get their answers: who attaches, lists or detaches, here
 * or through the kernel. Devices that are slow are not meant. */
static bool is_well(struct ovbdd *d)
{
	ovbd_devices_show(d->devices, "", NULL, NULL); /* its lock is free */
	if (!ovbd_tcmu_watch_answers(d->tcmu)) {
		ovbd_log(OVBD_LOG_ERROR,
		         "the kernel's questions about TCMU disks are not answered");
		return false;
	}
	if (ovbd_control_socket_ping(d->socket, PING_MS) == -ETIMEDOUT) {
		ovbd_log(OVBD_LOG_ERROR, "nobody answers at %s", d->socket);
		return false;
	}
	return true;
}

/* Until a signal that ends it. */
static void run(struct ovbdd *d, const sigset_t *signals)
{
	const unsigned watchdog_ms = ovbd_notify_watchdog_ms();
	unsigned ms = watchdog_ms;
	int sig;

	for (;;) {
		const struct timespec pause = {.tv_sec = ms / 1000,
		                               .tv_nsec = (long)(ms % 1000) * 1000000};

		sig = sigtimedwait(signals, NULL, ms ? &pause : NULL);
		if (sig == SIGHUP) {
			reload(d);
		} else if (sig > 0) {
			ovbd_log(OVBD_LOG_INFO, "%s: ending", strsignal(sig));
			return;
		}
		if (watchdog_ms && is_well(d)) {
			ovbd_notify("WATCHDOG=1");
			ms = watchdog_ms;
		} else if (watchdog_ms) {
			ms = AGAIN_MS < watchdog_ms ? AGAIN_MS : watchdog_ms;
		}
	}
}

static void finish(struct ovbdd *d)
{
	const struct ovbd_drain_params drain = {.how = OVBD_DETACH_LAZY, .timeout_ms = DRAIN_MS};
	struct ovbd_error err = {0};
	size_t left;

	ovbd_notify("STOPPING=1");
	if (d->devices && d->options.drain_on_exit &&
	    ovbd_devices_drain(d->devices, &drain, &err) != 0)
		ovbd_log(OVBD_LOG_WARNING, "draining: %s", err.msg);
	if (d->listens)
		unlink(d->socket); /* before the lock of the state directory is given up */
	if (d->snapuserd_socket)
		unlink(d->snapuserd_socket);
	ovbd_tcmu_watch_stop(d->tcmu);
	left = d->devices ? ovbd_devices_stop(d->devices, STOP_MS) : 0;
	if (left > 0) {
		ovbd_log(OVBD_LOG_INFO, "leaves %zu devices to the next ovbdd", left);
		_exit(EXIT_SUCCESS);
	}
	ovbd_snapuserd_stop(d->snapuserd);
	ovbd_api_stop(d->api);
	ovbd_snapshot_service_stop(d->service);
	ovbd_exporter_stop(d->exporter);
	ovbd_metrics_close(d->metrics);
	ovbd_tcmu_watch_close(d->tcmu);
	ovbd_devices_close(d->devices);
	ovbd_background_close(d->background);
	free(d->socket);
	free(d->snapuserd_socket);
}

/* Says what was asked for, and ends; -1: it was to serve. */
static int say(const struct ovbd_options *o)
{
	const char *help = o->drop_in ? ovbd_options_help_drop_in : ovbd_options_help;

	if (o->help || o->version) {
		fputs(o->help ? help : "ovbdd " OVBD_VERSION "\n", stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (!o->check)
		return -1;
	tell_configuration(o);
	return EXIT_SUCCESS;
}

static int serve(struct ovbdd *d)
{
	struct ovbd_error err;
	sigset_t signals;
	int r;

	start_log(d);
	block_signals(&signals);
	r = start(d, &err);
	if (r < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s", err.msg);
	else
		run(d, &signals);
	finish(d);
	ovbd_log_files(NULL, NULL);
	ovbd_log_file_close(d->log);
	ovbd_log_file_close(d->audit);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct ovbdd d = {0};
	struct ovbd_error err;
	int status, r = ovbd_options_parse(argc, argv, &d.said, &err);

	d.options = d.said;
	if (r == 0 && !d.said.help && !d.said.version)
		r = ovbd_options_load(&d.said, &d.options, &err);
	if (r == 0)
		r = ovbd_transport_kinds_select(d.options.transports, &err);
	if (r < 0)
		ovbd_log(OVBD_LOG_ERROR, "%s", err.msg);
	status = r < 0 ? EXIT_USAGE : say(&d.options);
	if (status < 0)
		status = serve(&d);
	ovbd_options_free(&d.options);
	return status;
}
