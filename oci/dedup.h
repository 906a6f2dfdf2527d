/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/: a database of the layers that were made, wherever they are: of what (chain ID),
 * how (OCI_NOTE_HOW), which blob that became, and where it was put ("place": a target's, in words
 * of its own). SQLite's, in a file that several processes may use at once. docs/oci.md has its
 * table.
 *
 * It is of help, and no more than that: what is found is proven by whoever uses it. Once it cannot
 * be read or written it is left alone, and trouble says why.
 */
#ifndef OVBD_OCI_DEDUP_H
#define OVBD_OCI_DEDUP_H

#include "oci/impl.h"

#define OCI_DEDUP_ROWS 64u /* of one layer; there may be more */

struct oci_dedup;

/* spec: "sqlite:PATH"; made if it is not there, unless read_only. -EINVAL: it is something else;
 * -ENOTSUP: this program was built without. With read_only *ret may be NULL: there is none. */
int oci_dedup_open(const char *spec, bool read_only, struct oci_dedup **ret,
                   struct ovbd_error *err);

/* Where a layer is, as far as anybody has said. */
struct oci_dedup_row {
	char *place;
	struct oci_ref ref; /* without a type */
};

/* Those of a layer; of place (or NULL) first. *ret is to be freed, by oci_dedup_rows_free(). Their
 * number; 0: nobody knows it. */
size_t oci_dedup_find(struct oci_dedup *d, const char *chain_id, const char *how, const char *place,
                      struct oci_dedup_row **ret);
void oci_dedup_rows_free(struct oci_dedup_row *take_rows, size_t n);
/* It is in place now. */
void oci_dedup_add(struct oci_dedup *d, const char *chain_id, const char *how, const char *place,
                   const struct oci_ref *ref);
/* It is not there any more. */
void oci_dedup_drop(struct oci_dedup *d, const char *chain_id, const char *how, const char *place);

/* True, once: *ret is why it is not used any more, or not written to. */
bool oci_dedup_trouble(struct oci_dedup *d, struct ovbd_error *ret);

/* NULL is fine. */
void oci_dedup_close(struct oci_dedup *take_d);

#endif
