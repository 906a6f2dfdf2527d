// SPDX-License-Identifier: Apache-2.0
/* Without SQLite. */
#include <errno.h>

#include "oci/dedup.h"

int oci_dedup_open(const char *spec, bool read_only, struct oci_dedup **ret, struct ovbd_error *err)
{
	(void)read_only;
	*ret = NULL;
	return ovbd_fail(err, -ENOTSUP, "%s: this program was built without SQLite", spec);
}

size_t oci_dedup_find(struct oci_dedup *d, const char *chain_id, const char *how, const char *place,
                      struct oci_dedup_row **ret)
{
	(void)d;
	(void)chain_id;
	(void)how;
	(void)place;
	*ret = NULL;
	return 0;
}

void oci_dedup_rows_free(struct oci_dedup_row *take_rows, size_t n)
{
	(void)take_rows;
	(void)n;
}

void oci_dedup_add(struct oci_dedup *d, const char *chain_id, const char *how, const char *place,
                   const struct oci_ref *ref)
{
	(void)d;
	(void)chain_id;
	(void)how;
	(void)place;
	(void)ref;
}

void oci_dedup_drop(struct oci_dedup *d, const char *chain_id, const char *how, const char *place)
{
	(void)d;
	(void)chain_id;
	(void)how;
	(void)place;
}

bool oci_dedup_trouble(struct oci_dedup *d, struct ovbd_error *ret)
{
	(void)d;
	(void)ret;
	return false;
}

void oci_dedup_close(struct oci_dedup *take_d)
{
	(void)take_d;
}
