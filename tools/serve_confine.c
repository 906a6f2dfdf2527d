// SPDX-License-Identifier: Apache-2.0
/* What a server gives up before it opens its image: see daemon/confine.h. Not with --run, whose
 * command is the user's own. */
#include <linux/capability.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "daemon/helper.h"
#include "tools/serving.h"

static void call_refused(const char *call)
{
	ovbd_confine_tell("ovbd: serve: the system call ", call,
	                  " is not allowed: --no-seccomp allows all\n");
}

int ovbd_serving_confine(const struct ovbd_serving *s, enum ovbd_serving_by by, bool no_filter)
{
	struct ovbd_confine_params p = {
		.caps = OVBD_CAP(DAC_READ_SEARCH) | OVBD_CAP(DAC_OVERRIDE),
		.no_filter = no_filter,
		.refused = call_refused,
	};
	struct ovbd_error err;
	bool filtered;
	int r = 0;

	if (by == OVBD_SERVING_NBD)
		p.caps |= OVBD_CAP(NET_BIND_SERVICE); /* a port below 1024 */
	else
		p.caps |= OVBD_CAP(SYS_ADMIN);
	if (by == OVBD_SERVING_FUSE)
		p.calls = OVBD_CALLS_MOUNT;
	if (by == OVBD_SERVING_UBLK) {
		p.calls = OVBD_CALLS_RING;
		r = ovbd_helper_start(&err);
	}
	if (r == 0)
		r = ovbd_confine(&p, &filtered, &err);
	return r < 0 ? ovbd_cli_fail(s->c, r, false, &err) : 0;
}
