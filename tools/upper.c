// SPDX-License-Identifier: Apache-2.0
#include "tools/upper.h"

#include <errno.h>
#include <stdlib.h>
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

static int find_files(const struct ovbd_upper_names *names, bool config,
                      struct ovbd_upper_place *ret, struct ovbd_error *err)
{
	if (config)
		return ovbd_image_upper_files(names->names[0], &ret->data, &ret->index, err);
	ret->data = strdup(names->names[0]);
	ret->index = names->n > 1 ? strdup(names->names[1]) : NULL;
	if (!ret->data || (names->n > 1 && !ret->index))
		return ovbd_fail(err, -ENOMEM, "out of memory");
	return 0;
}

int ovbd_upper_find(const struct ovbd_cli *c, const struct ovbd_upper_names *names,
                    struct ovbd_upper_place *ret, int *ret_status)
{
	const struct ovbd_image_params how = {.no_upper = true};
	struct ovbd_error err;
	const int config = is_config(names, &err);
	int r = config;

	*ret = (struct ovbd_upper_place){0};
	if (r >= 0)
		r = find_files(names, config, ret, &err);
	if (r < 0) {
		*ret_status = ovbd_cli_fail(c, r, false, &err);
		return r;
	}
	ret->known = !names->blind && (config || names->whole || names->nbases > 0);
	if (config && ret->known)
		return ovbd_source_open(c, names->names, 1, &how, &ret->base, ret_status);
	if (names->nbases > 0 && ret->known)
		return ovbd_source_open(c, names->bases, names->nbases, NULL, &ret->base,
		                        ret_status);
	return 0;
}

void ovbd_upper_place_close(struct ovbd_upper_place *p)
{
	ovbd_image_close(p->base);
	free(p->data);
	free(p->index);
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
