// SPDX-License-Identifier: Apache-2.0
/* Stands in for serve_ublk.c where there was no liburing when this was built. */
#include "tools/serving.h"

int ovbd_serving_open_ublk(struct ovbd_serving *s, int id, unsigned nworkers,
                           void (*begin)(void *s))
{
	(void)id;
	(void)nworkers;
	(void)begin;
	ovbd_cli_error(s->c, "this ovbd was built without liburing, which ublk needs");
	return OVBD_EXIT_UNAVAILABLE;
}
