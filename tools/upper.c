// SPDX-License-Identifier: Apache-2.0
#include "tools/upper.h"

#include <errno.h>
#include <string.h>

#include "tools/source.h"

/* 1: the one name is a configuration; 0: it is a file of the layer. */
static int is_config(const struct ovbd_upper_names *names, struct ovbd_error *err)
{
	bool upper = false;
	const int r = names->n == 1 ? ovbd_image_is_config(names->names[0], &upper, err) : 0;

	if (r > 0 && !upper)
		return ovbd_fail(err, -EINVAL, "%s: names no writable layer", names->names[0]);
	if (r > 0 && (names->nbases > 0 || names->whole))
		return ovbd_fail(err, -EINVAL, "%s: a configuration says itself what lies beneath",
		                 names->names[0]);
	return r;
}

int ovbd_upper_find(const struct ovbd_cli *c, const struct ovbd_upper_names *names,
                    struct ovbd_upper_place *ret, int *ret_status)
{
	const struct ovbd_image_params how = {.no_upper = true};
	struct ovbd_error err;
	const int config = is_config(names, &err);
	int r = 0;

	*ret = (struct ovbd_upper_place){.known = config || names->whole || names->nbases > 0};
	if (config < 0) {
		*ret_status = ovbd_cli_fail(c, config, false, &err);
		return config;
	}
	if (config)
		r = ovbd_source_open(c, names->names, 1, &how, &ret->base, ret_status);
	else if (names->nbases > 0)
		r = ovbd_source_open(c, names->bases, names->nbases, NULL, &ret->base, ret_status);
	if (r < 0)
		return r;
	ret->data = config ? ret->base->upper_data : names->names[0];
	ret->index = config ? ret->base->upper_index : names->n > 1 ? names->names[1] : NULL;
	return 0;
}

void ovbd_upper_place_close(struct ovbd_upper_place *p)
{
	ovbd_image_close(p->base);
}

int ovbd_upper_place_open(const struct ovbd_upper_place *p, struct ovbd_device **ret,
                          struct ovbd_error *err)
{
	AUTO_BLOB *lower = NULL;
	int r = 0;

	if (!p->known)
		r = ovbd_blob_open_below(NULL, OVBD_UPPER_HINT, &lower, err);
	else if (p->base && p->base->blob)
		r = ovbd_blob_open_lent(p->base->blob, &lower, err);
	return r < 0 ? r : ovbd_upper_open(p->data, p->index, OVBD_MOVE(lower), ret, err);
}
