// SPDX-License-Identifier: Apache-2.0
#include "daemon/tcmu_spec.h"

#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/tcmu_disk.h"
#include "daemon/transports.h"
#include "image/image.h"

#define OVERLAYBD "overlaybd"

bool ovbd_tcmu_is_asked_of_us(const struct ovbd_tcmu_name *name)
{
	return strcmp(name->subtype, OVERLAYBD) == 0 ||
	       (strcmp(name->subtype, "ovbd") == 0 && name->hba != OVBD_TCMU_HBA);
}

bool ovbd_tcmu_has_result(const struct ovbd_tcmu_name *name)
{
	return strcmp(name->subtype, OVERLAYBD) == 0;
}

char *ovbd_tcmu_image_of(const struct ovbd_tcmu_name *name)
{
	const char *config = name->config, *id = strrchr(config, ';');
	size_t n = strlen(config);
	char *path;

	if (strcmp(name->subtype, OVERLAYBD) == 0 && id && access(config, F_OK) < 0)
		n = (size_t)(id - config);
	if (asprintf(&path, "%s%.*s", config[0] == '/' ? "" : "/", (int)n, config) < 0)
		return NULL;
	return path;
}

const char *ovbd_tcmu_alias_of(const struct ovbd_tcmu_name *name, const char *image)
{
	const char *id = strrchr(name->config, ';');
	size_t n, tail;

	if (strcmp(name->subtype, OVERLAYBD) != 0 || !id || !id[1])
		return NULL;
	n = strlen(image);
	tail = strlen(id); /* it is part of the path, if there is such a file */
	return n >= tail && strcmp(image + n - tail, id) == 0 ? NULL : id + 1;
}

/* As its configuration has it. If that cannot be read, a disk that is in use may be one that its
 * users write to: what they write waits. */
static bool is_writable(const char *image, bool in_use)
{
	bool upper = false;

	return ovbd_image_is_config(image, &upper, NULL) < 0 ? in_use : upper;
}

int ovbd_tcmu_spec_of(const struct ovbd_tcmu_name *name, unsigned minor, bool in_use,
                      struct ovbd_spec **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_spec_freep) struct ovbd_spec *s = calloc(1, sizeof(*s));
	char id[OVBD_SPEC_ID_MAX + 1];
	int r = ovbd_tcmu_name_id(name, id, sizeof(id), err);

	if (r < 0)
		return r;
	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->id = strdup(id);
	s->images = calloc(1, sizeof(*s->images));
	if (!s->id || !s->images || asprintf(&s->path, "/dev/uio%u", minor) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->images[0] = ovbd_tcmu_image_of(name);
	s->nimages = 1;
	s->transport = strdup(ovbd_transport_kind_tcmu_adopted.name);
	s->format = strcmp(name->subtype, OVERLAYBD) == 0 ? OVBD_FORMAT_IMAGE : OVBD_FORMAT_AUTO;
	if (!s->images[0] || !s->transport)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->writable = is_writable(s->images[0], in_use);
	*ret = OVBD_MOVE(s);
	return 0;
}
