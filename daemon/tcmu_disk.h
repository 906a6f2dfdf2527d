/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCMU disk in configfs, by HBA and device, and its way to a block device: the kernel's loopback
 * fabric (tcm_loop). Making one takes three steps, and each may be asked for again when a part of
 * it is there already, as a dead daemon has left it.
 *
 * What waits for the disk's server (link, unlink) is done by helper.h.
 */
#ifndef OVBD_DAEMON_TCMU_DISK_H
#define OVBD_DAEMON_TCMU_DISK_H

#include "daemon/tcmu.h"

enum {
	OVBD_TCMU_HBA = 1870029412, /* of the disks that we make: "ovbd" in ASCII */
	OVBD_TCMU_PATH_SIZE = 64,
};

/* 0, or -errno and what the host lacks. */
int ovbd_tcmu_disk_available(struct ovbd_error *err);

/* Makes user_(OVBD_TCMU_HBA)/device, of the subtype ovbd, or finds it (*ret_found). Nobody is asked
 * by netlink, neither now nor when it is removed. -EEXIST: it is another manager's; -E2BIG: the
 * names are too long. */
int ovbd_tcmu_disk_make(const char *manager, const char *device, uint64_t size, unsigned *ret_minor,
                        bool *ret_found, struct ovbd_error *err);

/* Makes it a block device: ret_path is /dev/sdX. Its server must be serving. */
int ovbd_tcmu_disk_link(const char *device, char ret_path[OVBD_TCMU_PATH_SIZE],
                        struct ovbd_error *err);

/* The opposite, also of parts; 0 if there is nothing of it. */
int ovbd_tcmu_disk_unlink(const char *device, struct ovbd_error *err);
int ovbd_tcmu_disk_remove(const char *device, struct ovbd_error *err);

/* The size of the block device of a disk of ours; of anybody's, by the serial number that its
 * server gave it. Neither waits for that server. -ENOENT: there is none. */
int ovbd_tcmu_disk_size(const char *device, uint64_t *ret, struct ovbd_error *err);
int ovbd_tcmu_disk_size_by_serial(const char *serial, uint64_t *ret, struct ovbd_error *err);

/* Tells of each SCSI disk of the host its serial number, which of ours is the id, and its block
 * device. */
void ovbd_tcmu_disk_places(void (*found)(void *arg, const char *serial, const char *path),
                           void *arg);

/* A disk's size in configfs, which only its maker looks at; and what block devices there are of the
 * one with this serial number look at it again, for which its server must be serving. */
int ovbd_tcmu_disk_tell_size(const struct ovbd_tcmu_name *n, const char *serial, uint64_t size,
                             struct ovbd_error *err);

/* How large its blocks are. */
int ovbd_tcmu_disk_block_size(unsigned hba, const char *device, uint32_t *ret,
                              struct ovbd_error *err);

#endif
