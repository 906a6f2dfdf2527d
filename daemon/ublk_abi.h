/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ublk_drv and its server say to each other, as far as it is used here: Linux 6.5 and later,
 * declared here because the headers of many distributions are older than their kernels. Numbers are
 * in the machine's byte order, fields at their natural alignment.
 *
 * The server makes devices by commands on /dev/ublk-control, and exchanges requests by commands on
 * /dev/ublkcN; both are io_uring commands (IORING_OP_URING_CMD).
 */
#ifndef OVBD_DAEMON_UBLK_ABI_H
#define OVBD_DAEMON_UBLK_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define UBLK_SECTOR_SHIFT 9

/* A command's argument: in the large half of a control ring's submission entry. */
struct ublk_ctrl_cmd {
	uint32_t dev_id;
	uint16_t queue_id; /* UBLK_NO_QUEUE but for questions about a queue */
	uint16_t len;      /* of the buffer */
	uint64_t addr;     /* the buffer */
	uint64_t data[1];
	uint16_t dev_path_len; /* only for devices of users who are not root */
	uint16_t pad;
	uint32_t reserved;
};
_Static_assert(sizeof(struct ublk_ctrl_cmd) == 32, "struct ublk_ctrl_cmd");

#define UBLK_NO_QUEUE UINT16_MAX
#define UBLK_NO_ID    UINT32_MAX /* ADD_DEV: any number that is free */

#define UBLK_GET_DEV_INFO        _IOR('u', 0x02, struct ublk_ctrl_cmd)  /* buffer: ublk_dev_info */
#define UBLK_ADD_DEV             _IOWR('u', 0x04, struct ublk_ctrl_cmd) /* the same, in and out */
#define UBLK_DEL_DEV             _IOWR('u', 0x05, struct ublk_ctrl_cmd)
#define UBLK_START_DEV           _IOWR('u', 0x06, struct ublk_ctrl_cmd) /* data: the server's pid */
#define UBLK_STOP_DEV            _IOWR('u', 0x07, struct ublk_ctrl_cmd)
#define UBLK_SET_PARAMS          _IOWR('u', 0x08, struct ublk_ctrl_cmd) /* buffer: ublk_params */
#define UBLK_GET_PARAMS          _IOR('u', 0x09, struct ublk_ctrl_cmd)  /* the same */
#define UBLK_START_USER_RECOVERY _IOWR('u', 0x10, struct ublk_ctrl_cmd)
#define UBLK_END_USER_RECOVERY   _IOWR('u', 0x11, struct ublk_ctrl_cmd) /* data: the server's pid */
#define UBLK_GET_FEATURES        _IOR('u', 0x13, struct ublk_ctrl_cmd)  /* buffer: u64 of UBLK_F_ */
#define UBLK_UPDATE_SIZE         _IOWR('u', 0x15, struct ublk_ctrl_cmd) /* data: sectors */

/* Features: of the driver, asked for in a device's flags. */
#define UBLK_F_USER_RECOVERY         (UINT64_C(1) << 3)  /* outlives its server */
#define UBLK_F_USER_RECOVERY_REISSUE (UINT64_C(1) << 4)  /* and asks its successor again */
#define UBLK_F_CMD_IOCTL_ENCODE      (UINT64_C(1) << 6)  /* commands are numbered as above */
#define UBLK_F_USER_COPY             (UINT64_C(1) << 7)  /* data by pread and pwrite, see below */
#define UBLK_F_UPDATE_SIZE           (UINT64_C(1) << 10) /* a size may change; Linux 6.16 */

enum ublk_state {
	UBLK_STATE_DEAD = 0, /* not started, or stopped */
	UBLK_STATE_LIVE = 1,
	UBLK_STATE_QUIESCED = 2, /* its server has died: requests wait for the next one */
};

struct ublk_dev_info {
	uint16_t nr_hw_queues; /* ADD_DEV: the driver takes no more than there are CPUs */
	uint16_t queue_depth;
	uint16_t state; /* enum ublk_state */
	uint16_t pad0;
	uint32_t max_io_buf_bytes;
	uint32_t dev_id;
	int32_t ublksrv_pid;
	uint32_t pad1;
	uint64_t flags;         /* UBLK_F_ */
	uint64_t ublksrv_flags; /* the server's own; the driver only keeps it */
	uint32_t owner_uid;
	uint32_t owner_gid;
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct ublk_dev_info) == 64, "struct ublk_dev_info");
_Static_assert(offsetof(struct ublk_dev_info, flags) == 24, "struct ublk_dev_info");

#define UBLK_ATTR_READ_ONLY      (1u << 0)
#define UBLK_ATTR_VOLATILE_CACHE (1u << 2) /* there are flushes */
#define UBLK_ATTR_FUA            (1u << 3)

struct ublk_param_basic {
	uint32_t attrs;           /* UBLK_ATTR_ */
	uint8_t logical_bs_shift; /* block sizes are powers of two */
	uint8_t physical_bs_shift;
	uint8_t io_opt_shift;
	uint8_t io_min_shift;
	uint32_t max_sectors; /* of a request */
	uint32_t chunk_sectors;
	uint64_t dev_sectors;
	uint64_t virt_boundary_mask;
};

struct ublk_param_discard {
	uint32_t discard_alignment;
	uint32_t discard_granularity; /* bytes */
	uint32_t max_discard_sectors;
	uint32_t max_write_zeroes_sectors;
	uint16_t max_discard_segments; /* the driver knows no other than 1 */
	uint16_t reserved0;
};

#define UBLK_PARAM_TYPE_BASIC   (1u << 0)
#define UBLK_PARAM_TYPE_DISCARD (1u << 1)

struct ublk_params {
	uint32_t len; /* of this, as both sides know it */
	uint32_t types;
	struct ublk_param_basic basic;
	struct ublk_param_discard discard;
};
_Static_assert(offsetof(struct ublk_params, basic) == 8, "struct ublk_params");
_Static_assert(offsetof(struct ublk_params, discard) == 40, "struct ublk_params");

/* A request: entry tag of its queue's table, which is mapped read-only from /dev/ublkcN at
 * ublk_table_offset(). Valid from the completion of the tag's fetch to its commit. */
struct ublk_io_desc {
	uint32_t op_flags; /* low byte: enum ublk_op; the others: UBLK_IO_F_ */
	uint32_t nr_sectors;
	uint64_t start_sector;
	uint64_t addr;
};
_Static_assert(sizeof(struct ublk_io_desc) == 24, "struct ublk_io_desc");

#define UBLK_MAX_QUEUE_DEPTH 4096
#define UBLK_OP_MASK         0xffu
#define UBLK_IO_F_FUA        (1u << 13)
#define UBLK_IO_F_NOUNMAP    (1u << 15) /* zeroes: no hole */

enum ublk_op {
	UBLK_OP_READ = 0,
	UBLK_OP_WRITE = 1,
	UBLK_OP_FLUSH = 2,
	UBLK_OP_DISCARD = 3,
	UBLK_OP_WRITE_ZEROES = 5,
};

/* A command on /dev/ublkcN, from the thread that made the queue's first. It completes when there is
 * a request (0), or with -ENODEV: there will be none any more. */
struct ublk_io_cmd {
	uint16_t q_id;
	uint16_t tag;
	int32_t result; /* bytes of a read or write, 0 of others, or -errno */
	uint64_t addr;  /* 0: with UBLK_F_USER_COPY */
};
_Static_assert(sizeof(struct ublk_io_cmd) == 16, "struct ublk_io_cmd");

#define UBLK_FETCH_REQ            _IOWR('u', 0x20, struct ublk_io_cmd)
#define UBLK_COMMIT_AND_FETCH_REQ _IOWR('u', 0x21, struct ublk_io_cmd)

/* Where in /dev/ublkcN the data of a request is: what a write gives, what a read takes. */
static inline uint64_t ublk_data_offset(uint16_t queue, uint16_t tag)
{
	return UINT64_C(0x80000000) + ((uint64_t)queue << 41 | (uint64_t)tag << 25);
}

/* Where in /dev/ublkcN the table of a queue's requests is, and its length. */
static inline uint64_t ublk_table_offset(uint16_t queue, uint64_t page_size)
{
	const uint64_t size = UBLK_MAX_QUEUE_DEPTH * sizeof(struct ublk_io_desc);

	return queue * ((size + page_size - 1) & ~(page_size - 1));
}

static inline size_t ublk_table_size(uint16_t depth, uint64_t page_size)
{
	return (size_t)((depth * sizeof(struct ublk_io_desc) + page_size - 1) & ~(page_size - 1));
}

#endif
