// SPDX-License-Identifier: Apache-2.0
/* The NBD handshake and the parsing of requests, byte by byte and with what a hostile client
 * sends. */
#include <errno.h>

#include "base/bytes.h"
#include "daemon/nbd_request.h"
#include "tests/unit/test.h"

#define SIZE (1u << 30)

static struct nbd_export export = {.name = "disk", .size = SIZE, .writable = true};

/* Bytes to send, and what has come back. */
struct talk {
	struct nbd_handshake h;
	uint8_t answer[1 << 17];
	size_t nanswer;
};

static void keep_answer(struct talk *t)
{
	assert_true(t->nanswer + t->h.nout <= sizeof(t->answer));
	memcpy(t->answer + t->nanswer, t->h.out, t->h.nout);
	t->nanswer += t->h.nout;
}

/* In pieces of at most piece bytes; returns how many the handshake wanted. */
static size_t say(struct talk *t, const void *bytes, size_t len, size_t piece)
{
	const uint8_t *p = bytes;
	size_t done = 0;

	while (done < len) {
		uint8_t *to;
		size_t n = ovbd_min(nbd_handshake_want(&t->h, &to), len - done);

		n = ovbd_min(n, piece);
		if (n == 0)
			break;
		memcpy(to, p + done, n);
		nbd_handshake_step(&t->h, n);
		keep_answer(t);
		done += n;
	}
	return done;
}

static void begin(struct talk *t, uint32_t flags)
{
	uint8_t b[4];

	t->nanswer = 0;
	nbd_handshake_init(&t->h, &export);
	assert_int_equal(t->h.nout, NBD_GREETING_SIZE);
	assert_memory_equal(t->h.out, "NBDMAGICIHAVEOPT\0\3", NBD_GREETING_SIZE);
	ovbd_put_be32(b, flags);
	assert_int_equal(say(t, b, 4, 1), 4);
	assert_int_equal(t->nanswer, 0);
}

static void option(struct talk *t, uint32_t opt, const void *data, uint32_t len)
{
	uint8_t head[NBD_OPTION_HEAD_SIZE];

	t->nanswer = 0;
	ovbd_put_be64(head, NBD_IHAVEOPT);
	ovbd_put_be32(head + 8, opt);
	ovbd_put_be32(head + 12, len);
	assert_int_equal(say(t, head, sizeof(head), 5), sizeof(head));
	if (len > 0)
		say(t, data, len, 7);
}

/* The kind of the reply at off; *off goes behind it. */
static uint32_t reply_at(const struct talk *t, uint32_t opt, size_t *off)
{
	const uint8_t *p = t->answer + *off;

	assert_true(t->nanswer - *off >= NBD_OPTION_REPLY_SIZE);
	assert_true(ovbd_get_be64(p) == NBD_REP_MAGIC);
	assert_int_equal(ovbd_get_be32(p + 8), opt);
	*off += NBD_OPTION_REPLY_SIZE + ovbd_get_be32(p + 16);
	assert_true(*off <= t->nanswer);
	return ovbd_get_be32(p + 12);
}

static void expect_only(const struct talk *t, uint32_t opt, uint32_t kind)
{
	size_t off = 0;

	assert_int_equal(reply_at(t, opt, &off), kind);
	assert_int_equal(off, t->nanswer);
}

static void test_go(void **state)
{
	static struct talk t;
	const unsigned flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
	                       NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |
	                       NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE |
	                       NBD_FLAG_SEND_FAST_ZERO;
	size_t off = 0;

	(void)state;
	begin(&t, 3);
	option(&t, NBD_OPT_INFO, "\0\0\0\4disk\0\1\0\1", 12);
	assert_int_equal(reply_at(&t, NBD_OPT_INFO, &off), NBD_REP_INFO);
	assert_true(ovbd_get_be64(t.answer + 22) == SIZE);
	assert_int_equal(ovbd_get_be16(t.answer + 30), flags);
	assert_int_equal(reply_at(&t, NBD_OPT_INFO, &off), NBD_REP_INFO);
	assert_int_equal(reply_at(&t, NBD_OPT_INFO, &off), NBD_REP_INFO);
	assert_memory_equal(t.answer + off - 4, "disk", 4);
	assert_int_equal(reply_at(&t, NBD_OPT_INFO, &off), NBD_REP_ACK);
	assert_int_equal(off, t.nanswer);
	assert_int_equal(t.h.state, NBD_SHAKE_OPTION);
	option(&t, NBD_OPT_GO, "\0\0\0\0\0\0", 6);
	assert_int_equal(t.h.state, NBD_SHAKE_DONE);
	assert_false(t.h.session.structured);
	/* What comes after is no part of the handshake. */
	assert_int_equal(say(&t, "x", 1, 1), 0);
}

static void test_export_name(void **state)
{
	static struct talk t;

	(void)state;
	begin(&t, 3);
	option(&t, NBD_OPT_EXPORT_NAME, "disk", 4);
	assert_int_equal(t.h.state, NBD_SHAKE_DONE);
	assert_int_equal(t.nanswer, 10);
	begin(&t, 1);
	option(&t, NBD_OPT_EXPORT_NAME, NULL, 0);
	assert_int_equal(t.h.state, NBD_SHAKE_DONE);
	assert_int_equal(t.nanswer, 10 + NBD_EXPORT_NAME_PADDING);
	begin(&t, 3);
	option(&t, NBD_OPT_EXPORT_NAME, "disc", 4);
	assert_int_equal(t.h.state, NBD_SHAKE_OVER);
	assert_int_equal(t.nanswer, 0);
}

static void test_list_and_abort(void **state)
{
	static struct talk t;
	size_t off = 0;

	(void)state;
	begin(&t, 3);
	option(&t, NBD_OPT_LIST, NULL, 0);
	assert_int_equal(reply_at(&t, NBD_OPT_LIST, &off), NBD_REP_SERVER);
	assert_memory_equal(t.answer + NBD_OPTION_REPLY_SIZE, "\0\0\0\4disk", 8);
	assert_int_equal(reply_at(&t, NBD_OPT_LIST, &off), NBD_REP_ACK);
	option(&t, NBD_OPT_ABORT, NULL, 0);
	expect_only(&t, NBD_OPT_ABORT, NBD_REP_ACK);
	assert_int_equal(t.h.state, NBD_SHAKE_OVER);
}

#define NAMED "\0\0\0\4disk"

static void test_meta_context(void **state)
{
	static struct talk t;
	static const char one[] = NAMED "\0\0\0\1\0\0\0\17base:allocation";
	static const char all[] = NAMED "\0\0\0\0";
	static const char space[] = NAMED "\0\0\0\1\0\0\0\5base:";
	static const char other[] = NAMED "\0\0\0\1\0\0\0\17qemu:allocation";
	size_t off = 0;

	(void)state;
	begin(&t, 3);
	option(&t, NBD_OPT_SET_META_CONTEXT, one, sizeof(one) - 1);
	expect_only(&t, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	option(&t, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_only(&t, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	option(&t, NBD_OPT_LIST_META_CONTEXT, all, sizeof(all) - 1);
	assert_int_equal(reply_at(&t, NBD_OPT_LIST_META_CONTEXT, &off), NBD_REP_META_CONTEXT);
	option(&t, NBD_OPT_LIST_META_CONTEXT, space, sizeof(space) - 1);
	off = 0;
	assert_int_equal(reply_at(&t, NBD_OPT_LIST_META_CONTEXT, &off), NBD_REP_META_CONTEXT);
	assert_false(t.h.session.allocation);
	option(&t, NBD_OPT_SET_META_CONTEXT, space, sizeof(space) - 1);
	expect_only(&t, NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK);
	assert_false(t.h.session.allocation);
	option(&t, NBD_OPT_SET_META_CONTEXT, one, sizeof(one) - 1);
	off = 0;
	assert_int_equal(reply_at(&t, NBD_OPT_SET_META_CONTEXT, &off), NBD_REP_META_CONTEXT);
	assert_memory_equal(t.answer + NBD_OPTION_REPLY_SIZE, "\0\0\0\1base:allocation", 19);
	assert_int_equal(reply_at(&t, NBD_OPT_SET_META_CONTEXT, &off), NBD_REP_ACK);
	assert_true(t.h.session.allocation);
	option(&t, NBD_OPT_SET_META_CONTEXT, other, sizeof(other) - 1);
	expect_only(&t, NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK);
	assert_false(t.h.session.allocation);
}

/* Each is answered with an error, and the next option is understood. */
static void test_refused(void **state)
{
	static struct talk t;
	static uint8_t big[NBD_OPTION_MAX + 1];
	static const struct {
		uint32_t opt, len;
		const char *data;
		uint32_t kind;
	} cases[] = {
		{NBD_OPT_STARTTLS, 0, "", NBD_REP_ERR_POLICY},
		{4, 0, "", NBD_REP_ERR_UNSUP},
		{11, 0, "", NBD_REP_ERR_UNSUP},
		{0xffffffff, 3, "abc", NBD_REP_ERR_UNSUP},
		{NBD_OPT_LIST, 1, "x", NBD_REP_ERR_INVALID},
		{NBD_OPT_STRUCTURED_REPLY, 1, "x", NBD_REP_ERR_INVALID},
		{NBD_OPT_GO, 0, "", NBD_REP_ERR_INVALID},
		{NBD_OPT_GO, 3, "\0\0\0", NBD_REP_ERR_INVALID},
		{NBD_OPT_GO, 6, "\377\377\377\377\0\0", NBD_REP_ERR_INVALID},
		{NBD_OPT_GO, 6, "\0\0\0\1\0\0", NBD_REP_ERR_INVALID},
		{NBD_OPT_GO, 6, "\0\0\0\0\0\1", NBD_REP_ERR_INVALID},
		{NBD_OPT_GO, 7, "\0\0\0\0\0\0x", NBD_REP_ERR_INVALID},
		{NBD_OPT_GO, 10, "\0\0\0\4disc\0\0", NBD_REP_ERR_UNKNOWN},
		{NBD_OPT_INFO, 9, "\0\0\0\3dis\0\0", NBD_REP_ERR_UNKNOWN},
		{NBD_OPT_SET_META_CONTEXT, 3, "\0\0\0", NBD_REP_ERR_INVALID},
		{NBD_OPT_SET_META_CONTEXT, 12, NAMED "\377\377\377\377", NBD_REP_ERR_INVALID},
		{NBD_OPT_SET_META_CONTEXT, 16, NAMED "\0\0\0\1\0\0\0\1", NBD_REP_ERR_INVALID},
		{NBD_OPT_SET_META_CONTEXT, 13, NAMED "\0\0\0\0x", NBD_REP_ERR_INVALID},
		{NBD_OPT_LIST_META_CONTEXT, 12, "\0\0\0\4disc\0\0\0\0", NBD_REP_ERR_UNKNOWN},
	};

	(void)state;
	begin(&t, 3);
	t.h.session.structured = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		option(&t, cases[i].opt, cases[i].data, cases[i].len);
		expect_only(&t, cases[i].opt, cases[i].kind);
		assert_int_equal(t.h.state, NBD_SHAKE_OPTION);
	}
	option(&t, NBD_OPT_GO, big, sizeof(big));
	expect_only(&t, NBD_OPT_GO, NBD_REP_ERR_TOO_BIG);
	option(&t, NBD_OPT_LIST, NULL, 0);
	assert_int_equal(t.h.state, NBD_SHAKE_OPTION);
}

/* Each ends the connection. */
static void test_hopeless(void **state)
{
	static struct talk t;
	uint8_t head[NBD_OPTION_HEAD_SIZE] = "IHAVEOPX";

	(void)state;
	begin(&t, 3);
	say(&t, head, sizeof(head), sizeof(head));
	assert_int_equal(t.h.state, NBD_SHAKE_OVER);
	begin(&t, 4); /* a flag of the future */
	assert_int_equal(t.h.state, NBD_SHAKE_OVER);
	begin(&t, 3);
	option(&t, NBD_OPT_EXPORT_NAME, NULL, 0);
	begin(&t, 3);
	ovbd_put_be64(head, NBD_IHAVEOPT);
	ovbd_put_be32(head + 8, NBD_OPT_EXPORT_NAME);
	ovbd_put_be32(head + 12, NBD_STRING_MAX + 1);
	say(&t, head, sizeof(head), sizeof(head));
	assert_int_equal(t.h.state, NBD_SHAKE_OVER);
}

static void encode(uint8_t head[NBD_REQUEST_SIZE], unsigned flags, unsigned type, uint64_t off,
                   uint32_t len)
{
	ovbd_put_be32(head, NBD_REQUEST_MAGIC);
	ovbd_put_be16(head + 4, (uint16_t)flags);
	ovbd_put_be16(head + 6, (uint16_t)type);
	ovbd_put_be64(head + 8, 0x1122334455667788);
	ovbd_put_be64(head + 16, off);
	ovbd_put_be32(head + 24, len);
}

static void test_requests(void **state)
{
	static const struct {
		unsigned flags, type;
		uint64_t off;
		uint32_t len, error, error_ro;
	} cases[] = {
		{0, NBD_CMD_READ, 0, 512, 0, 0},
		{NBD_CMD_FLAG_DF, NBD_CMD_READ, SIZE - 1, 1, 0, 0},
		{0, NBD_CMD_READ, SIZE - 1, 2, NBD_EINVAL, NBD_EINVAL},
		{0, NBD_CMD_READ, UINT64_MAX, 2, NBD_EINVAL, NBD_EINVAL},
		{0, NBD_CMD_READ, 0, 0, NBD_EINVAL, NBD_EINVAL},
		{0, NBD_CMD_READ, 0, NBD_BLOCK_SIZE_MAX, 0, 0},
		{0, NBD_CMD_READ, 0, NBD_BLOCK_SIZE_MAX + 1, NBD_EINVAL, NBD_EINVAL},
		{NBD_CMD_FLAG_NO_HOLE, NBD_CMD_READ, 0, 1, NBD_EINVAL, NBD_EINVAL},
		{NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 0, 1, 0, NBD_EPERM},
		{0, NBD_CMD_WRITE, SIZE, 1, NBD_ENOSPC, NBD_EPERM},
		{0, NBD_CMD_WRITE, 0, UINT32_MAX, NBD_EINVAL, NBD_EPERM},
		{NBD_CMD_FLAG_NO_HOLE, NBD_CMD_WRITE_ZEROES, 0, SIZE, 0, NBD_EPERM},
		{NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 0, SIZE, 0, NBD_EPERM},
		{1 << 5, NBD_CMD_WRITE_ZEROES, 0, 1, NBD_EINVAL, NBD_EINVAL},
		{NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_TRIM, 0, 1, NBD_EINVAL, NBD_EINVAL},
		{0, NBD_CMD_WRITE_ZEROES, 1, SIZE, NBD_ENOSPC, NBD_EPERM},
		{0, NBD_CMD_TRIM, 0, SIZE, 0, NBD_EPERM},
		{0, NBD_CMD_TRIM, 1, SIZE, NBD_EINVAL, NBD_EPERM},
		{0, NBD_CMD_FLUSH, 0, 0, 0, 0},
		{0, NBD_CMD_CACHE, 0, SIZE, 0, 0},
		{NBD_CMD_FLAG_REQ_ONE, NBD_CMD_BLOCK_STATUS, 0, SIZE, 0, 0},
		{0, NBD_CMD_BLOCK_STATUS, 1, SIZE, NBD_EINVAL, NBD_EINVAL},
		{0, 8, 0, 1, NBD_EINVAL, NBD_EINVAL},
		{0, 0xffff, 0, 1, NBD_EINVAL, NBD_EINVAL},
	};
	const struct nbd_session s = {.structured = true, .allocation = true}, plain = {0};
	struct nbd_export ro = export;
	uint8_t head[NBD_REQUEST_SIZE];
	struct nbd_request rq;

	(void)state;
	ro.writable = false;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		encode(head, cases[i].flags, cases[i].type, cases[i].off, cases[i].len);
		assert_int_equal(nbd_request_decode(head, &export, &s, &rq), 0);
		assert_int_equal(rq.error, cases[i].error);
		assert_true(rq.cookie == 0x1122334455667788);
		assert_int_equal(nbd_request_decode(head, &ro, &s, &rq), 0);
		assert_int_equal(rq.error, cases[i].error_ro);
	}
	encode(head, 0, NBD_CMD_BLOCK_STATUS, 0, 1);
	assert_int_equal(nbd_request_decode(head, &export, &plain, &rq), 0);
	assert_int_equal(rq.error, NBD_EINVAL);
	encode(head, NBD_CMD_FLAG_DF, NBD_CMD_READ, 0, 1);
	assert_int_equal(nbd_request_decode(head, &export, &plain, &rq), 0);
	assert_int_equal(rq.error, NBD_EINVAL);
	head[0] ^= 1;
	assert_int_equal(nbd_request_decode(head, &export, &plain, &rq), -EBADMSG);
}

/* TLS: what is answered before it, that it is asked for once, and that what was settled in the
 * clear is forgotten. */
static void test_tls(void **state)
{
	static const uint32_t refused[] = {
		NBD_OPT_LIST,
		NBD_OPT_INFO,
		NBD_OPT_GO,
		NBD_OPT_STRUCTURED_REPLY,
		NBD_OPT_LIST_META_CONTEXT,
		NBD_OPT_SET_META_CONTEXT,
		99,
	};
	static struct talk t;

	(void)state;
	export.tls = NBD_TLS_REQUIRED;
	begin(&t, 3);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		option(&t, refused[i], NULL, 0);
		expect_only(&t, refused[i], NBD_REP_ERR_TLS_REQD);
	}
	option(&t, NBD_OPT_STARTTLS, "x", 1);
	expect_only(&t, NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID);
	option(&t, NBD_OPT_STARTTLS, NULL, 0);
	expect_only(&t, NBD_OPT_STARTTLS, NBD_REP_ACK);
	assert_int_equal(t.h.state, NBD_SHAKE_TLS);
	assert_int_equal(say(&t, "more", 4, 4), 0); /* nothing is taken in the clear */
	nbd_handshake_secured(&t.h);
	option(&t, NBD_OPT_STARTTLS, NULL, 0);
	expect_only(&t, NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID);
	option(&t, NBD_OPT_EXPORT_NAME, "disk", 4);
	assert_int_equal(t.h.state, NBD_SHAKE_DONE);

	begin(&t, 3);
	option(&t, NBD_OPT_EXPORT_NAME, "disk", 4);
	assert_int_equal(t.h.state, NBD_SHAKE_OVER);
	assert_int_equal(t.nanswer, 0);

	export.tls = NBD_TLS_OFFERED;
	begin(&t, 3);
	option(&t, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_only(&t, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	option(&t, NBD_OPT_STARTTLS, NULL, 0);
	nbd_handshake_secured(&t.h);
	assert_false(t.h.session.structured);
	export.tls = NBD_TLS_NONE;
}

static void test_replies(void **state)
{
	const struct nbd_session s = {.structured = true}, plain = {0};
	struct nbd_request rq = {.type = NBD_CMD_READ, .cookie = 7, .off = 512};
	uint8_t out[NBD_REPLY_MAX];

	(void)state;
	assert_int_equal(nbd_reply_encode(out, &s, &rq, 4096), 28);
	assert_memory_equal(out, "\x66\x8e\x33\xef\0\1\0\1\0\0\0\0\0\0\0\7\0\0\x10\x08", 20);
	assert_int_equal(nbd_reply_encode(out, &plain, &rq, 4096), 16);
	assert_memory_equal(out, "\x67\x44\x66\x98\0\0\0\0\0\0\0\0\0\0\0\7", 16);
	rq.error = NBD_EIO;
	rq.why = "broken";
	assert_int_equal(nbd_reply_encode(out, &s, &rq, 0), 20 + 6 + 6);
	assert_memory_equal(out + 4, "\0\1\200\1", 4);
	assert_memory_equal(out + 20, "\0\0\0\5\0\6broken", 12);
	assert_int_equal(nbd_reply_encode(out, &plain, &rq, 0), 16);
	assert_int_equal(ovbd_get_be32(out + 4), NBD_EIO);
	assert_int_equal(nbd_error_of(-EBADMSG), NBD_EIO);
	assert_int_equal(nbd_error_of(-EROFS), NBD_EPERM);
	assert_int_equal(nbd_error_of(-ENOSPC), NBD_ENOSPC);
	assert_int_equal(nbd_error_of(0), 0);
}

static uint64_t stripe = 512;

/* Every stripe is of another kind than the one before; two in a row of DATA. */
static int run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                  struct ovbd_error *err)
{
	static const enum ovbd_run_kind kinds[] = {OVBD_RUN_DATA, OVBD_RUN_DATA, OVBD_RUN_HOLE,
	                                           OVBD_RUN_ZERO};

	(void)b;
	(void)err;
	ret->len = ovbd_min(len, stripe - off % stripe);
	ret->kind = kinds[off / stripe % 4];
	return 0;
}

static const struct ovbd_blob_ops ops = {.name = "stripes", .run_at = run_at};

/* What of a read is sent as a hole: zeros of 4 KiB and more. */
static void test_chunks(void **state)
{
	struct ovbd_blob b = {.ops = &ops, .size = SIZE};
	const struct nbd_session s = {.structured = true}, plain = {0};
	struct nbd_request rq = {.type = NBD_CMD_READ, .cookie = 7, .off = 4096, .len = 16384};
	struct nbd_chunk k[NBD_CHUNKS_MAX];
	uint8_t out[NBD_REPLY_MAX];

	(void)state;
	stripe = 4096;
	assert_int_equal(nbd_chunks_find(&b, &s, &rq, k), 3);
	assert_true(!k[0].hole && k[0].off == 4096 && k[0].len == 4096);
	assert_true(k[1].hole && k[1].off == 8192 && k[1].len == 8192);
	assert_true(!k[2].hole && k[2].off == 16384 && k[2].len == 4096);
	assert_int_equal(nbd_chunk_encode(out, &rq, &k[1], false), 32);
	assert_memory_equal(out, "\x66\x8e\x33\xef\0\0\0\2\0\0\0\0\0\0\0\7\0\0\0\14", 20);
	assert_memory_equal(out + 20, "\0\0\0\0\0\0\x20\0\0\0\x20\0", 12);
	assert_int_equal(nbd_chunks_find(&b, &plain, &rq, k), 1);
	rq.len = 1 << 20;
	assert_int_equal(nbd_chunks_find(&b, &s, &rq, k), NBD_CHUNKS_MAX);
	assert_true(k[NBD_CHUNKS_MAX - 1].off + k[NBD_CHUNKS_MAX - 1].len == rq.off + rq.len);
	assert_false(k[NBD_CHUNKS_MAX - 1].hole);
	rq.flags = NBD_CMD_FLAG_DF;
	assert_int_equal(nbd_chunks_find(&b, &s, &rq, k), 1);
	rq.flags = 0;
	stripe = 1024; /* which makes zeros of 2 KiB */
	assert_int_equal(nbd_chunks_find(&b, &s, &rq, k), 1);
	assert_true(!k[0].hole && k[0].len == rq.len);
	stripe = 512;
}

static void test_extents(void **state)
{
	static uint8_t to[NBD_EXTENTS_HEAD + NBD_EXTENTS_MAX * NBD_EXTENT_SIZE];
	struct ovbd_blob b = {.ops = &ops, .size = SIZE};
	struct nbd_request rq = {.type = NBD_CMD_BLOCK_STATUS, .off = 512, .len = 1536 + 100};

	(void)state;
	assert_int_equal(nbd_extents_encode(to, &b, &rq), 4 + 4 * 8);
	assert_memory_equal(to,
	                    "\0\0\0\1"
	                    "\0\0\2\0\0\0\0\0"
	                    "\0\0\2\0\0\0\0\3"
	                    "\0\0\2\0\0\0\0\2"
	                    "\0\0\0\144\0\0\0\0",
	                    36);
	rq.off = 0;
	rq.flags = NBD_CMD_FLAG_REQ_ONE;
	assert_int_equal(nbd_extents_encode(to, &b, &rq), 4 + 8);
	assert_memory_equal(to + 4, "\0\0\4\0\0\0\0\0", 8);
	rq.flags = 0;
	rq.len = SIZE;
	assert_int_equal(nbd_extents_encode(to, &b, &rq), sizeof(to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_export_name),
		cmocka_unit_test(test_list_and_abort),
		cmocka_unit_test(test_meta_context),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hopeless),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_extents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
