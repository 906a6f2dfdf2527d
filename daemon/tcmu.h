/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCMU: the kernel's SCSI target hands the commands of a disk to a process, by a ring in memory
 * that both map (/dev/uioN); disks come and go by configfs, and the process hears of it by generic
 * netlink. One transport serves the ring of one disk; one listener hears of all disks of the host.
 *
 * Kernel interface: <linux/target_core_user.h>.
 */
#ifndef OVBD_DAEMON_TCMU_H
#define OVBD_DAEMON_TCMU_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/transport.h"

enum {
	OVBD_TCMU_NAME_SIZE = 512,        /* the kernel's own limits are below */
	OVBD_TCMU_BLOCK_SIZE = 512,       /* what configfs makes, unless told otherwise */
	OVBD_TCMU_MAX_TRANSFER = 1 << 20, /* bytes of a command */
};

/* What the kernel calls a disk: "tcm-user/HBA/DEVICE/SUBTYPE/CONFIG". Its directory is
 * /sys/kernel/config/target/core/user_HBA/DEVICE; dev_config is SUBTYPE/CONFIG. */
struct ovbd_tcmu_name {
	unsigned hba;
	char device[OVBD_TCMU_NAME_SIZE];
	char subtype[OVBD_TCMU_NAME_SIZE];
	char config[OVBD_TCMU_NAME_SIZE]; /* may be empty */
};

/* -EBADMSG if it is no such name. */
int ovbd_tcmu_name_parse(const char *text, struct ovbd_tcmu_name *ret, struct ovbd_error *err);

/* The name of /dev/uio(minor). -EBADMSG if it belongs to something else than TCMU. */
int ovbd_tcmu_name_of(unsigned minor, struct ovbd_tcmu_name *ret, struct ovbd_error *err);

/* Calls found() for each disk there is, of whatever subtype, until it returns something else than
 * 0, which is returned. */
int ovbd_tcmu_scan(int (*found)(void *arg, unsigned minor, const struct ovbd_tcmu_name *name),
                   void *arg, struct ovbd_error *err);

/* The minor of the disk of this HBA and device. -ENOENT: there is none. */
int ovbd_tcmu_find(unsigned hba, const char *device, unsigned *ret, struct ovbd_error *err);

/* What the device manager calls a disk that others have made: "user_HBA.DEVICE", as its path in
 * configfs, with what no id may have replaced by '_'. -ENAMETOOLONG. */
int ovbd_tcmu_name_id(const struct ovbd_tcmu_name *n, char *ret, size_t size,
                      struct ovbd_error *err);

struct ovbd_tcmu_params {
	unsigned minor;      /* of /dev/uioN */
	uint64_t size;       /* bytes; a multiple of block_size; 0: see ovbd_tcmu_set_size() */
	uint32_t block_size; /* as configfs has it (hw_block_size); OVBD_TCMU_BLOCK_SIZE usually */
	bool writable;       /* else writes are refused, and the disk says that it is protected */
	bool changed;        /* another size than it had: the first command is told so */
	const char *serial;  /* what tells this disk from others; copied */
	unsigned nworkers;   /* as for ovbd_serve() */
};

/*
 * Maps the disk's ring. Commands that a dead server left in it are given back to the kernel, which
 * sends them again. -EBUSY if another process serves the disk.
 *
 * stop() leaves the commands of the ring to the server that comes next; the disk's users wait for
 * it. When the kernel takes the disk away, every next() returns -ESHUTDOWN.
 */
int ovbd_tcmu_open(const struct ovbd_tcmu_params *p, struct ovbd_transport **ret,
                   struct ovbd_error *err);

/* Of a ring that was opened before it was known what it is to serve: once, before the first
 * next(). */
int ovbd_tcmu_set_size(struct ovbd_transport *t, uint64_t size, bool writable,
                       struct ovbd_error *err);

/* It has this size from now on; the next command is told that it has another. */
int ovbd_tcmu_resize(struct ovbd_transport *t, uint64_t size, struct ovbd_error *err);

/* What the kernel tells, and waits for an answer to, without a time limit. */
enum ovbd_tcmu_event_kind {
	OVBD_TCMU_ADDED,
	OVBD_TCMU_REMOVED,
	OVBD_TCMU_RECONFIGURED,
};

struct ovbd_tcmu_event {
	enum ovbd_tcmu_event_kind kind;
	uint32_t id; /* the disk's, for the answer */
	unsigned minor;
	struct ovbd_tcmu_name name;
	/* RECONFIGURED: what is to change; one of them, or what else there may be. */
	bool has_size, has_config;
	uint64_t size;
	char config[OVBD_TCMU_NAME_SIZE]; /* a whole dev_config */
};

struct ovbd_tcmu_listener;

/*
 * -EBUSY: another process listens already, of those that call this.
 *
 * From here to ovbd_tcmu_listen_ready() no disk can come: who tries gets EAGAIN. What others waited
 * for when an earlier listener died is ended, so that nothing hangs. Meanwhile the disks that are
 * there can be found by ovbd_tcmu_scan() and served.
 */
int ovbd_tcmu_listen(struct ovbd_tcmu_listener **ret, struct ovbd_error *err);
int ovbd_tcmu_listen_ready(struct ovbd_tcmu_listener *l, struct ovbd_error *err);

/* The end of listening: again no disk can come, and who tries gets EAGAIN instead of waiting for a
 * listener. What is owed is still to be answered. */
int ovbd_tcmu_listen_end(struct ovbd_tcmu_listener *l, struct ovbd_error *err);

/* To poll for reading; then there may be an event. */
int ovbd_tcmu_listener_fd(const struct ovbd_tcmu_listener *l);

/* 1: *ret is filled. 0: there is none now. One thread at a time. Of a disk whose subtype is not
 * the caller's, nothing is to be said: its own server answers. */
int ovbd_tcmu_next_event(struct ovbd_tcmu_listener *l, struct ovbd_tcmu_event *ret,
                         struct ovbd_error *err);

/* Any thread, any time later, once: status 0 or -errno, which is what the writer of "enable" gets.
 * A REMOVED disk's transport is closed before. */
int ovbd_tcmu_reply(struct ovbd_tcmu_listener *l, const struct ovbd_tcmu_event *e, int status,
                    struct ovbd_error *err);

/* NULL is fine. */
void ovbd_tcmu_listener_close(struct ovbd_tcmu_listener *take_l);

#endif
