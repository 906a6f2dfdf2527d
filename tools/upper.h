/* SPDX-License-Identifier: Apache-2.0 */
/* The writable layer that a verb changes, by what the user has named. */
#ifndef OVBD_TOOLS_UPPER_H
#define OVBD_TOOLS_UPPER_H

#include "image/image.h"
#include "image/upper.h"
#include "tools/cli.h"

/* What was said. */
struct ovbd_upper_names {
	const char *const *names; /* DATA, or DATA and INDEX, or an image configuration */
	size_t n;
	const char *const *bases; /* what lies beneath, bottom first, if it is no configuration */
	size_t nbases;
	bool whole; /* nothing does */
	bool blind; /* what does is not asked for, not even of a configuration */
};

/* What that is. */
struct ovbd_upper_place {
	char *data, *index;      /* index NULL or "": it is one file */
	struct ovbd_image *base; /* what lies beneath; its blob is NULL if nothing does */
	bool known;              /* it is known what does, if anything */
};

/* A failure is told; *ret_status is then the exit status. *ret must be closed. */
int ovbd_upper_find(const struct ovbd_cli *c, const struct ovbd_upper_names *names,
                    struct ovbd_upper_place *ret, int *ret_status);
void ovbd_upper_place_close(struct ovbd_upper_place *p);

/* Opens it, over what lies beneath. Where that is not known, reading it fails, with a hint. */
int ovbd_upper_place_open(const struct ovbd_upper_place *p, struct ovbd_device **ret,
                          struct ovbd_error *err);

#define OVBD_UPPER_HINT "name what lies there; or say --whole if nothing does"

#endif
