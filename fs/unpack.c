// SPDX-License-Identifier: Apache-2.0
#include "fs/unpack.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"

#define BUFFER_SIZE (128u << 10)
#define HEAD_SIZE   6u
#define WINDOW_LOG  27 /* of zstd: 128 MiB at most, as its own tool has it */

enum kind { UNKNOWN, PLAIN, GZIP, ZSTD };

struct ovbd_fs_unpack {
	ovbd_fs_read_fn read;
	void *arg;
	enum kind kind;
	uint8_t *buf; /* BUFFER_SIZE; [at, end) is still to be used */
	size_t at, end;
	bool ended;  /* the source */
	bool within; /* a member or frame has begun */
	z_stream gz;
	bool has_gz;
	ZSTD_DCtx *zstd;
};

int ovbd_fs_unpack_open(ovbd_fs_read_fn read, void *arg, struct ovbd_fs_unpack **ret,
                        struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_fs_unpack_closep) struct ovbd_fs_unpack *u = calloc(1, sizeof(*u));

	if (u)
		u->buf = malloc(BUFFER_SIZE);
	if (!u || !u->buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	u->read = read;
	u->arg = arg;
	*ret = OVBD_MOVE(u);
	return 0;
}

void ovbd_fs_unpack_close(struct ovbd_fs_unpack *take_u)
{
	if (!take_u)
		return;
	if (take_u->has_gz)
		inflateEnd(&take_u->gz);
	ZSTD_freeDCtx(take_u->zstd);
	free(take_u->buf);
	free(take_u);
}

const char *ovbd_fs_unpack_name(const struct ovbd_fs_unpack *u)
{
	return u->kind == GZIP ? "gzip" : u->kind == ZSTD ? "zstd" : "none";
}

/* More bytes behind those that are there. 0, also at the end. */
static int fill(struct ovbd_fs_unpack *u, struct ovbd_error *err)
{
	ssize_t n;

	if (u->ended)
		return 0;
	if (u->at == u->end)
		u->at = u->end = 0;
	n = u->read(u->arg, u->buf + u->end, BUFFER_SIZE - u->end, err);
	if (n < 0)
		return (int)n;
	u->ended = n == 0;
	u->end += (size_t)n;
	return 0;
}

/* ---- what it is ---- */

struct magic {
	const char *bytes;
	size_t len;
	enum kind kind;
	const char *refused;
};

static const struct magic magics[] = {
	{"\x1f\x8b", 2, GZIP, NULL},
	{"\x28\xb5\x2f\xfd", 4, ZSTD, NULL},
	{"\xfd"
         "7zXZ",
         5, PLAIN, "xz"},
	{"BZh", 3, PLAIN, "bzip2"},
	{"\x04\x22\x4d\x18", 4, PLAIN, "lz4"},
};

static bool is_skippable(const uint8_t *p, size_t n)
{
	return n >= 4 && (ovbd_get_le32(p) & 0xfffffff0u) == 0x184d2a50u;
}

static int find_kind(struct ovbd_fs_unpack *u, struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && u->end < HEAD_SIZE && !u->ended)
		r = fill(u, err);
	if (r < 0)
		return r;
	u->kind = is_skippable(u->buf, u->end) ? ZSTD : PLAIN;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		const struct magic *m = &magics[i];

		if (u->end < m->len || memcmp(u->buf, m->bytes, m->len) != 0)
			continue;
		if (m->refused)
			return ovbd_fail(
				err, -ENOTSUP,
				"is compressed by %s, which no image may be: gzip, zstd or "
				"nothing",
				m->refused);
		u->kind = m->kind;
	}
	if (u->kind == GZIP) {
		if (inflateInit2(&u->gz, 15 + 16) != Z_OK)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		u->has_gz = true;
	} else if (u->kind == ZSTD) {
		u->zstd = ZSTD_createDCtx();
		if (!u->zstd)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG);
	}
	return 0;
}

/* ---- reading ---- */

/* Whether there are bytes to go on from. 0: the source has ended. */
static int more(struct ovbd_fs_unpack *u, struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && u->at == u->end && !u->ended)
		r = fill(u, err);
	if (r < 0)
		return r;
	if (u->at < u->end)
		return 1;
	return u->within ? ovbd_fail(err, -EBADMSG, "the compressed stream ends in the middle") : 0;
}

static ssize_t read_plain(struct ovbd_fs_unpack *u, void *buf, size_t len, struct ovbd_error *err)
{
	const int r = more(u, err);
	const size_t n = (size_t)ovbd_min(len, u->end - u->at);

	if (r <= 0)
		return r;
	memcpy(buf, u->buf + u->at, n);
	u->at += n;
	return (ssize_t)n;
}

/* Behind a member: another one, or zeros that fill up a tape, as gzip(1) takes them. 1: another. */
static int next_member(struct ovbd_fs_unpack *u, struct ovbd_error *err)
{
	int r;

	while ((r = more(u, err)) > 0 && u->buf[u->at] == 0)
		u->at++;
	if (r <= 0)
		return r;
	if (u->buf[u->at] != 0x1f)
		return ovbd_fail(err, -EBADMSG, "there is something behind the gzip stream");
	return inflateReset(&u->gz) == Z_OK ? 1 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static ssize_t read_gzip(struct ovbd_fs_unpack *u, void *buf, size_t len, struct ovbd_error *err)
{
	u->gz.next_out = buf;
	u->gz.avail_out = (unsigned)len;
	while (u->gz.avail_out == len) {
		int r = u->within || !u->gz.total_in ? more(u, err) : next_member(u, err);

		if (r <= 0)
			return r;
		u->within = true;
		u->gz.next_in = u->buf + u->at;
		u->gz.avail_in = (unsigned)(u->end - u->at);
		r = inflate(&u->gz, Z_NO_FLUSH);
		u->at = u->end - u->gz.avail_in;
		if (r == Z_STREAM_END)
			u->within = false;
		else if (r != Z_OK && r != Z_BUF_ERROR)
			return ovbd_fail(err, -EBADMSG, "the gzip stream is damaged: %s",
			                 u->gz.msg ? u->gz.msg : "wrong checksum");
	}
	return (ssize_t)(len - u->gz.avail_out);
}

static ssize_t read_zstd(struct ovbd_fs_unpack *u, void *buf, size_t len, struct ovbd_error *err)
{
	ZSTD_outBuffer out = {buf, len, 0};

	while (out.pos == 0) {
		const int r = more(u, err);
		ZSTD_inBuffer in = {u->buf, u->end, u->at};
		size_t left;

		if (r <= 0)
			return r;
		left = ZSTD_decompressStream(u->zstd, &out, &in);
		u->at = in.pos;
		if (ZSTD_isError(left))
			return ovbd_fail(err, -EBADMSG, "the zstd stream is damaged: %s",
			                 ZSTD_getErrorName(left));
		u->within = left != 0;
	}
	return (ssize_t)out.pos;
}

ssize_t ovbd_fs_unpack_read(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct ovbd_fs_unpack *u = arg;
	const int r = u->kind == UNKNOWN ? find_kind(u, err) : 0;

	if (r < 0)
		return r;
	len = (size_t)ovbd_min(len, 1u << 30);
	if (u->kind == GZIP)
		return read_gzip(u, buf, len, err);
	return u->kind == ZSTD ? read_zstd(u, buf, len, err) : read_plain(u, buf, len, err);
}
