/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of the NBD protocol, by the names of its document (doc/proto.md in the repository
 * NetworkBlockDevice/nbd). Everything on the wire is big-endian.
 */
#ifndef OVBD_DAEMON_NBD_PROTO_H
#define OVBD_DAEMON_NBD_PROTO_H

/* Handshake: the server's greeting (MAGIC, IHAVEOPT, 16 bits of flags), the client's 32 bits of
 * flags, then options: IHAVEOPT, option, length, data; each has replies: REP_MAGIC, option, kind of
 * reply, length, data. */
#define NBD_MAGIC     0x4e42444d41474943u /* "NBDMAGIC" */
#define NBD_IHAVEOPT  0x49484156454f5054u /* "IHAVEOPT" */
#define NBD_REP_MAGIC 0x0003e889045565a9u

enum {
	NBD_GREETING_SIZE = 18,
	NBD_CLIENT_FLAGS_SIZE = 4,
	NBD_OPTION_HEAD_SIZE = 16,
	NBD_OPTION_REPLY_SIZE = 20,
	NBD_EXPORT_NAME_PADDING = 124, /* zeros after the answer to OPT_EXPORT_NAME */
	NBD_STRING_MAX = 4096,         /* bytes of any name */
};

enum {
	NBD_FLAG_FIXED_NEWSTYLE = 1 << 0, /* the same two bits in the server's and client's flags */
	NBD_FLAG_NO_ZEROES = 1 << 1,
};

enum {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
};

#define NBD_REP_ACK          1u
#define NBD_REP_SERVER       2u
#define NBD_REP_INFO         3u
#define NBD_REP_META_CONTEXT 4u
#define NBD_REP_ERR_UNSUP    0x80000001u
#define NBD_REP_ERR_POLICY   0x80000002u
#define NBD_REP_ERR_INVALID  0x80000003u
#define NBD_REP_ERR_TLS_REQD 0x80000005u
#define NBD_REP_ERR_UNKNOWN  0x80000006u
#define NBD_REP_ERR_TOO_BIG  0x80000009u

enum {
	NBD_INFO_EXPORT = 0,
	NBD_INFO_NAME = 1,
	NBD_INFO_BLOCK_SIZE = 3,
};

/* What an export can. */
enum {
	NBD_FLAG_HAS_FLAGS = 1 << 0,
	NBD_FLAG_READ_ONLY = 1 << 1,
	NBD_FLAG_SEND_FLUSH = 1 << 2,
	NBD_FLAG_SEND_FUA = 1 << 3,
	NBD_FLAG_SEND_TRIM = 1 << 5,
	NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
	NBD_FLAG_SEND_DF = 1 << 7,
	NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
	NBD_FLAG_SEND_CACHE = 1 << 10,
	NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
};

/* Transmission: requests (magic, flags, type, cookie, offset, length; a WRITE's data) and simple
 * replies (magic, error, cookie) or chunks (magic, flags, type, cookie, length). */
#define NBD_REQUEST_MAGIC          0x25609513u
#define NBD_SIMPLE_REPLY_MAGIC     0x67446698u
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efu

enum {
	NBD_REQUEST_SIZE = 28,
	NBD_SIMPLE_REPLY_SIZE = 16,
	NBD_CHUNK_HEAD_SIZE = 20,
};

enum {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
};

enum {
	NBD_CMD_FLAG_FUA = 1 << 0,
	NBD_CMD_FLAG_NO_HOLE = 1 << 1,
	NBD_CMD_FLAG_DF = 1 << 2,
	NBD_CMD_FLAG_REQ_ONE = 1 << 3,
	NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
};

enum {
	NBD_REPLY_FLAG_DONE = 1 << 0,
	NBD_REPLY_TYPE_OFFSET_DATA = 1,
	NBD_REPLY_TYPE_OFFSET_HOLE = 2,
	NBD_REPLY_TYPE_BLOCK_STATUS = 5,
	NBD_REPLY_TYPE_ERROR = (1 << 15) + 1,
};

/* Of the context "base:allocation". */
enum {
	NBD_STATE_HOLE = 1 << 0,
	NBD_STATE_ZERO = 1 << 1,
};

enum {
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

#endif
