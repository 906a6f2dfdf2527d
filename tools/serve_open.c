// SPDX-License-Identifier: Apache-2.0
/* What is served, and over which transport. */
#include <errno.h>
#include <sys/resource.h>

#include "daemon/nbd.h"
#include "image/recorder.h"
#include "tools/serving.h"
#include "tools/source.h"

/* A raw file, written in place; or what only looks like one: that would be the end of a layer. */
static int open_writable(struct ovbd_serving *s, enum ovbd_format f)
{
	const struct ovbd_cli *c = s->c;
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	const struct ovbd_image_params how = {.format = f, .metered = true};
	struct ovbd_error err;
	int r, status;

	r = ovbd_source_open(c, c->operands, 1, &how, &img, &status);
	if (r < 0)
		return status;
	if (img->upper) {
		s->img = OVBD_MOVE(img);
		s->device = s->img->upper;
		return 0;
	}
	if (img->format == OVBD_FORMAT_IMAGE) {
		ovbd_cli_error(c,
		               "%s: has no writable layer: --rw takes a configuration that names "
		               "an upper; -f raw takes the file as it is",
		               c->operands[0]);
		return OVBD_EXIT_FAILURE;
	}
	if (img->format != OVBD_FORMAT_RAW || img->layers[0].http) {
		ovbd_cli_error(
			c,
			"%s: --rw writes to a raw file, a block device or the writable layer "
			"of a configuration, and this is %s; -f raw takes it as raw",
			img->layers[0].shown,
			img->layers[0].http ? "remote" : ovbd_format_name(img->format));
		return OVBD_EXIT_FAILURE;
	}
	r = ovbd_device_open_file(c->operands[0], &s->writable, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	s->device = s->writable;
	return 0;
}

/* From the thread that downloads. */
static void download_told(void *arg, bool bad, const char *sentence)
{
	const struct ovbd_serving *s = arg;

	if (bad || s->c->verbose > 0)
		ovbd_serving_tell(s, bad, "%s", sentence);
}

/* From the thread that looks up a list of paths. */
static void prefetch_told(void *arg, const char *sentence)
{
	ovbd_serving_tell(arg, false, "%s", sentence);
}

int ovbd_serving_open_source(struct ovbd_serving *s, bool writable, enum ovbd_format f)
{
	const struct ovbd_cli *c = s->c;
	struct ovbd_image_params how = {.format = f,
	                                .metered = true,
	                                .recorder = s->recorder,
	                                .prefetch = s->prefetch};
	struct ovbd_error err;
	int r, status;

	if (writable)
		return open_writable(s, f);
	r = ovbd_downloads_create(download_told, s, &s->downloads, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	how.prefetch.told = prefetch_told;
	how.prefetch.arg = s;
	how.downloads = s->downloads;
	how.download = ovbd_download_defaults();
	if (ovbd_source_open(c, c->operands, c->noperands, &how, &s->img, &status) < 0)
		return status;
	s->read_only.blob = s->img->blob;
	s->device = &s->read_only;
	return 0;
}

/* A descriptor for each client; more than that many is not our limit to set. */
static void allow_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int open_tls(struct ovbd_serving *s, const struct ovbd_serving_nbd *a,
                    struct ovbd_error *err)
{
	const struct ovbd_nbd_tls_params p = {
		.certificates = a->tls_certificates,
		.psk = a->tls_psk,
		.verify_peer = a->tls_verify_peer,
	};

	return p.certificates || p.psk ? ovbd_nbd_tls_open(&p, &s->tls, err) : 0;
}

int ovbd_serving_open_nbd(struct ovbd_serving *s, const struct ovbd_serving_nbd *a,
                          unsigned nworkers)
{
	struct ovbd_nbd_params p = {
		.address = s->path,
		.export = a->export ? a->export : "",
		.device = s->device,
		.nworkers = nworkers,
		.tls_required = !a->tls_optional,
	};
	struct ovbd_error err;
	int r;

	allow_descriptors();
	r = open_tls(s, a, &err);
	p.tls = s->tls;
	if (r == 0)
		r = ovbd_nbd_open(&p, &s->t, &err);
	if (r < 0)
		return ovbd_cli_fail(s->c, r, false, &err);
	s->uri = ovbd_nbd_uri(s->t);
	return 0;
}

/* What was written is there, also where nobody has asked for that. */
static void flush_upper(const struct ovbd_serving *s)
{
	struct ovbd_error err;

	if (s->img && s->img->upper && ovbd_device_flush(s->img->upper, &err) < 0)
		ovbd_serving_tell(s, true, "%s", err.msg);
}

void ovbd_serving_close(struct ovbd_serving *s)
{
	if (s->t)
		s->t->ops->close(s->t);
	ovbd_nbd_tls_close(s->tls);
	flush_upper(s);
	ovbd_device_close(s->writable);
	ovbd_image_close(s->img);
	ovbd_downloads_close(s->downloads);
	ovbd_recorder_close(s->recorder);
}
