/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writable layer by the names of its files: lsmt/rw.h. data and index are the two of overlaybd;
 * an ovbd-rw has only data, and index is NULL or "". Sentences begin with the file's name.
 */
#ifndef OVBD_IMAGE_UPPER_H
#define OVBD_IMAGE_UPPER_H

#include "lsmt/rw.h"

/* -EEXIST if one of them is there; what was made is removed if it fails. */
int ovbd_upper_create(const char *data, const char *index, const struct ovbd_rw_params *p,
                      struct ovbd_error *err);

/* Opens it for writing, over take_lower (NULL: nothing is known of what is beneath; it is taken,
 * also on failure), and locks its files: -EBUSY with who has them. Of a sparse layer over
 * something the map of zeros is DATA.zeros, which is made if need be. */
int ovbd_upper_open(const char *data, const char *index, struct ovbd_blob *take_lower,
                    struct ovbd_device **ret, struct ovbd_error *err);

/* What was written becomes a read-only layer, not compressed, by the name of data; what lies
 * beneath is not part of it. One that is sealed already stays. Its index file means nothing
 * afterwards, and stays too. Nobody may have it open: -EBUSY. If it fails, or dies, the layer is as
 * it was. */
int ovbd_upper_seal(const char *data, const char *index, struct ovbd_error *err);

/* The same, but always where it is, whatever the format; beneath: the bytes of what it lies over.
 * For who finds that a snapshot was not settled. */
int ovbd_upper_seal_in_place(const char *data, const char *index, uint64_t beneath,
                             struct ovbd_error *err);

/* take_d as a device that takes writes of any length at any place, not of whole sectors only. */
int ovbd_upper_open_bytes(struct ovbd_device *take_d, struct ovbd_device **ret,
                          struct ovbd_error *err);

/* For a device whose users outlive this process, and do not learn that it died: from now on what
 * is written to d, which comes from ovbd_upper_open_bytes(), is there for who opens the layer
 * next, even if the process is killed; though not if the power fails before a flush. */
void ovbd_upper_keep(struct ovbd_device *d);

#endif
