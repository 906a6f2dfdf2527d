// SPDX-License-Identifier: Apache-2.0
/* overlaybd-resize: the writable layer of an image and the ext4 that is on it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/overlaybd.h"
#include "tools/overlaybd_service.h"
#include "tools/resize.h"

#define GIB     (UINT64_C(1) << 30)
#define GIB_MAX ((UINT64_C(1) << 29) - 1) /* of the format */

enum { OPT_CONFIG = OVBD_OPTION_OWN, OPT_SIZE, OPT_SERVICE };

static const struct ovbd_option options[] = {
	{OPT_CONFIG, "config", "FILE", "The image's configuration (JSON). Required."},
	{OPT_SIZE, "size", "GIB", "How large it shall be. Required."},
	{OPT_SERVICE, "service_config_path", "FILE",
         "The daemon's configuration (default: /etc/overlaybd/overlaybd.json, if it is there)."},
	{0},
};

struct request {
	const char *config, *service;
	uint64_t ngib; /* 0: not given */
};

static int set_size(struct ovbd_cli *c, struct request *q)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(c->value, &end, 10);
	if (c->value[0] < '0' || c->value[0] > '9' || *end || errno || n == 0 || n > GIB_MAX)
		return ovbd_cli_usage(c, "invalid size: %s is not a whole number of GiB from 1 on",
		                      c->value);
	q->ngib = n;
	return 0;
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (id == OPT_CONFIG)
			q->config = c->value;
		if (id == OPT_SIZE && set_size(c, q) != 0)
			return -1;
		if (id == OPT_SERVICE)
			q->service = c->value;
	}
	if (id < 0 || ovbd_cli_at_most(c, 0) < 0)
		return -1;
	if (!q->config || !q->ngib)
		return ovbd_cli_usage(c, q->config ? "--size is missing" : "--config is missing");
	return 0;
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_overlaybd_service_close) struct ovbd_overlaybd_service service = {NULL};
	struct request q = {.ngib = 0};
	struct ovbd_resize how = {.names = {.names = &q.config, .n = 1}, .fs = true};
	struct ovbd_resized done;
	struct ovbd_error err;
	int r;

	if (parse(c, &q) != 0)
		return c->status;
	r = ovbd_overlaybd_service_open(c, q.service, &service, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	how.size = q.ngib * GIB;
	c->remote.params = service.params;
	r = ovbd_resize_run(c, &how, &done);
	c->remote.params = NULL;
	if (r == OVBD_EXIT_OK)
		printf("Success: filesystem resized to %" PRIu64 " GB (%.3f seconds)\n", q.ngib,
		       done.seconds);
	return r;
}

static const struct ovbd_example examples[] = {
	{"overlaybd-resize --config config.v1.json --size 128", "The disk and its ext4."},
	{NULL},
};

const struct ovbd_verb ovbd_overlaybd_resize = {
	.name = "resize",
	.program = "overlaybd-resize",
	.summary = "Make a writable layer and its ext4 larger or smaller",
	.usage = "--config FILE --size GIB",
	.text = "The upper of the image becomes so large, and the ext4 on it fills it, without a "
		"mount; this needs FUSE, resize2fs and e2fsck. Nobody may have it open. In the "
		"place of overlaybd's program.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage.",
	.run = run,
};
