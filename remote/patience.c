// SPDX-License-Identifier: Apache-2.0
#include "remote/patience.h"

static _Thread_local struct ovbd_patience patience;

struct ovbd_patience ovbd_patience(void)
{
	return patience;
}

struct ovbd_patience ovbd_patience_set(struct ovbd_patience p)
{
	const struct ovbd_patience old = patience;

	patience = p;
	return old;
}
