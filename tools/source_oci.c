// SPDX-License-Identifier: Apache-2.0
/* Names of images in layouts stand for the files of their layers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci/layout.h"
#include "tools/source.h"

static int append(struct ovbd_source_names *n, char *take_name, struct ovbd_error *err)
{
	char **all = take_name ? realloc(n->all, (n->n + 1) * sizeof(all[0])) : NULL;

	if (!all) {
		free(take_name);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	n->all = all;
	n->all[n->n++] = take_name;
	return 0;
}

static int append_image(struct ovbd_source_names *n, const char *name, const char *platform,
                        struct ovbd_error *err)
{
	char **paths = NULL;
	size_t npaths = 0;
	int r = ovbd_oci_stack(name, platform, &paths, &npaths, err);

	for (size_t i = 0; r == 0 && i < npaths; i++)
		r = append(n, OVBD_MOVE(paths[i]), err);
	ovbd_oci_stack_free(paths, npaths);
	return r;
}

int ovbd_source_names(const struct ovbd_cli *c, const char *const *names, size_t n,
                      struct ovbd_source_names *ret, struct ovbd_error *err)
{
	struct ovbd_source_names all = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = ovbd_oci_is_name(names[i])
		            ? append_image(&all, names[i], c->remote.platform, err)
		            : append(&all, strdup(names[i]), err);
	if (r < 0)
		ovbd_source_names_free(&all);
	else
		*ret = all;
	return r;
}

void ovbd_source_names_free(struct ovbd_source_names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->all[i]);
	free(n->all);
	*n = (struct ovbd_source_names){0};
}
