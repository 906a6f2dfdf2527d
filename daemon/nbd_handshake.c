// SPDX-License-Identifier: Apache-2.0
/*
 * A machine with four states that take bytes and two final ones. In each it is known how many bytes
 * come next, so that nothing of the requests that follow a handshake is ever taken with it.
 *
 * An option that is wrong is answered with an error and a sentence, and the client may try another.
 * Only what leaves no way on ends the connection: a wrong magic, a client that is not "fixed
 * newstyle" and asks what it cannot be refused.
 *
 * TLS, where it is offered, begins between two options; its handshake is the caller's affair.
 *
 * Only one export is served.
 */
#include "daemon/nbd_handshake.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"

static const char allocation[] = "base:allocation";

static void put(struct nbd_handshake *h, const void *p, size_t n)
{
	assert(n <= sizeof(h->out) - h->nout);
	memcpy(h->out + h->nout, p, n);
	h->nout += n;
}

static void put16(struct nbd_handshake *h, uint16_t v)
{
	uint8_t b[2];

	ovbd_put_be16(b, v);
	put(h, b, sizeof(b));
}

static void put32(struct nbd_handshake *h, uint32_t v)
{
	uint8_t b[4];

	ovbd_put_be32(b, v);
	put(h, b, sizeof(b));
}

static void put64(struct nbd_handshake *h, uint64_t v)
{
	uint8_t b[8];

	ovbd_put_be64(b, v);
	put(h, b, sizeof(b));
}

/* The head of a reply; size bytes are to follow. */
static void reply(struct nbd_handshake *h, uint32_t kind, size_t size)
{
	put64(h, NBD_REP_MAGIC);
	put32(h, h->option);
	put32(h, kind);
	put32(h, (uint32_t)size);
}

static void refuse(struct nbd_handshake *h, uint32_t kind, const char *why)
{
	h->nout = 0; /* in place of what was begun */
	reply(h, kind, strlen(why));
	put(h, why, strlen(why));
}

static uint16_t export_flags(const struct nbd_handshake *h)
{
	const unsigned reads = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_CACHE |
	                       NBD_FLAG_CAN_MULTI_CONN |
	                       (h->session.structured ? NBD_FLAG_SEND_DF : 0);
	const unsigned writes = NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |
	                        NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;

	return (uint16_t)(reads | (h->export->writable ? writes : NBD_FLAG_READ_ONLY));
}

static bool is_export(const struct nbd_handshake *h, const uint8_t *name, size_t len)
{
	return len == 0 ||
	       (len == strlen(h->export->name) && memcmp(name, h->export->name, len) == 0);
}

/* Data of an option that is read from its beginning to its end. */
struct cursor {
	const uint8_t *p;
	size_t left;
};

static bool take16(struct cursor *c, uint16_t *ret)
{
	if (c->left < 2)
		return false;
	*ret = ovbd_get_be16(c->p);
	c->p += 2;
	c->left -= 2;
	return true;
}

/* A length of 32 bits, and as many bytes. */
static bool take_string(struct cursor *c, const uint8_t **ret, size_t *ret_len)
{
	uint32_t len;

	if (c->left < 4)
		return false;
	len = ovbd_get_be32(c->p);
	if (len > NBD_STRING_MAX || len > c->left - 4)
		return false;
	*ret = c->p + 4;
	*ret_len = len;
	c->p += 4 + len;
	c->left -= 4 + len;
	return true;
}

/* The oldest way to choose an export: there is no refusing it but by closing. */
static void on_export_name(struct nbd_handshake *h)
{
	static const uint8_t zeros[NBD_EXPORT_NAME_PADDING];

	if (!is_export(h, h->in, h->option_size)) {
		h->state = NBD_SHAKE_OVER;
		return;
	}
	put64(h, h->export->size);
	put16(h, export_flags(h));
	if (!h->no_zeroes)
		put(h, zeros, sizeof(zeros));
	h->state = NBD_SHAKE_DONE;
}

static void put_infos(struct nbd_handshake *h, bool with_name)
{
	const size_t len = strlen(h->export->name);

	reply(h, NBD_REP_INFO, 12);
	put16(h, NBD_INFO_EXPORT);
	put64(h, h->export->size);
	put16(h, export_flags(h));
	reply(h, NBD_REP_INFO, 14);
	put16(h, NBD_INFO_BLOCK_SIZE);
	put32(h, 1);
	put32(h, NBD_BLOCK_SIZE_PREFERRED);
	put32(h, NBD_BLOCK_SIZE_MAX);
	if (with_name) {
		reply(h, NBD_REP_INFO, 2 + len);
		put16(h, NBD_INFO_NAME);
		put(h, h->export->name, len);
	}
	reply(h, NBD_REP_ACK, 0);
}

static void on_info_or_go(struct nbd_handshake *h)
{
	struct cursor c = {.p = h->in, .left = h->option_size};
	const uint8_t *name;
	uint16_t nwanted, wanted;
	size_t len;
	bool with_name = false, ok;

	ok = take_string(&c, &name, &len) && take16(&c, &nwanted) && c.left == nwanted * (size_t)2;
	while (ok && take16(&c, &wanted))
		with_name = with_name || wanted == NBD_INFO_NAME;
	if (!ok) {
		refuse(h, NBD_REP_ERR_INVALID, "the lengths in this option contradict each other");
	} else if (!is_export(h, name, len)) {
		refuse(h, NBD_REP_ERR_UNKNOWN, "there is no export of this name");
	} else {
		put_infos(h, with_name);
		if (h->option == NBD_OPT_GO)
			h->state = NBD_SHAKE_DONE;
	}
}

static void on_list(struct nbd_handshake *h)
{
	const size_t len = strlen(h->export->name);

	if (h->option_size > 0) {
		refuse(h, NBD_REP_ERR_INVALID, "this option takes no data");
		return;
	}
	reply(h, NBD_REP_SERVER, 4 + len);
	put32(h, (uint32_t)len);
	put(h, h->export->name, len);
	reply(h, NBD_REP_ACK, 0);
}

static void on_structured_reply(struct nbd_handshake *h)
{
	if (h->option_size > 0) {
		refuse(h, NBD_REP_ERR_INVALID, "this option takes no data");
		return;
	}
	h->session.structured = true;
	reply(h, NBD_REP_ACK, 0);
}

/* Whether any of n queries asks for base:allocation; in a LIST "base:" does too, and no query at
 * all. *ret_ok: false if they are malformed. */
static bool asks_allocation(const struct nbd_handshake *h, struct cursor *c, bool *ret_ok)
{
	const bool list = h->option == NBD_OPT_LIST_META_CONTEXT;
	const size_t whole = sizeof(allocation) - 1, space = strlen("base:");
	const uint8_t *query;
	uint32_t n;
	size_t len;
	bool found;

	*ret_ok = c->left >= 4;
	if (!*ret_ok)
		return false;
	n = ovbd_get_be32(c->p);
	c->p += 4;
	c->left -= 4;
	found = list && n == 0;
	for (; n > 0 && (*ret_ok = take_string(c, &query, &len)); n--)
		if (len == whole || (list && len == space))
			found = found || memcmp(query, allocation, len) == 0;
	*ret_ok = *ret_ok && c->left == 0;
	return found;
}

static void on_meta_context(struct nbd_handshake *h)
{
	struct cursor c = {.p = h->in, .left = h->option_size};
	const bool set = h->option == NBD_OPT_SET_META_CONTEXT;
	const uint8_t *name;
	size_t len;
	bool ok, found;

	if (set)
		h->session.allocation = false;
	if (!h->session.structured) {
		refuse(h, NBD_REP_ERR_INVALID, "structured replies have to be asked for first");
		return;
	}
	ok = take_string(&c, &name, &len);
	found = ok && asks_allocation(h, &c, &ok);
	if (!ok) {
		refuse(h, NBD_REP_ERR_INVALID, "the lengths in this option contradict each other");
		return;
	}
	if (!is_export(h, name, len)) {
		refuse(h, NBD_REP_ERR_UNKNOWN, "there is no export of this name");
		return;
	}
	if (found) {
		reply(h, NBD_REP_META_CONTEXT, 4 + sizeof(allocation) - 1);
		put32(h, NBD_CONTEXT_ALLOCATION);
		put(h, allocation, sizeof(allocation) - 1);
		h->session.allocation = h->session.allocation || set;
	}
	reply(h, NBD_REP_ACK, 0);
}

static void on_starttls(struct nbd_handshake *h)
{
	if (h->export->tls == NBD_TLS_NONE) {
		refuse(h, NBD_REP_ERR_POLICY, "this server has no TLS");
	} else if (h->option_size > 0) {
		refuse(h, NBD_REP_ERR_INVALID, "this option takes no data");
	} else if (h->secured) {
		refuse(h, NBD_REP_ERR_INVALID, "TLS is on already");
	} else {
		reply(h, NBD_REP_ACK, 0);
		h->state = NBD_SHAKE_TLS;
	}
}

/* What may be asked in the clear of a server that requires TLS. */
static bool is_for_all(uint32_t option)
{
	return option == NBD_OPT_STARTTLS || option == NBD_OPT_ABORT;
}

static void on_option(struct nbd_handshake *h)
{
	h->state = NBD_SHAKE_OPTION;
	if (h->export->tls == NBD_TLS_REQUIRED && !h->secured && !is_for_all(h->option)) {
		if (h->option == NBD_OPT_EXPORT_NAME) /* which has no refusal */
			h->state = NBD_SHAKE_OVER;
		else
			refuse(h, NBD_REP_ERR_TLS_REQD, "this server requires TLS");
		return;
	}
	switch (h->option) {
	case NBD_OPT_EXPORT_NAME:
		on_export_name(h);
		break;
	case NBD_OPT_ABORT:
		reply(h, NBD_REP_ACK, 0);
		h->state = NBD_SHAKE_OVER;
		break;
	case NBD_OPT_LIST:
		on_list(h);
		break;
	case NBD_OPT_STARTTLS:
		on_starttls(h);
		break;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		on_info_or_go(h);
		break;
	case NBD_OPT_STRUCTURED_REPLY:
		on_structured_reply(h);
		break;
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		on_meta_context(h);
		break;
	default:
		refuse(h, NBD_REP_ERR_UNSUP, "this server does not know this option");
	}
}

static void on_client_flags(struct nbd_handshake *h)
{
	const uint32_t flags = ovbd_get_be32(h->in);

	if ((flags & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) != 0) {
		h->state = NBD_SHAKE_OVER;
		return;
	}
	h->no_zeroes = (flags & NBD_FLAG_NO_ZEROES) != 0;
	h->state = NBD_SHAKE_OPTION;
}

static void on_option_head(struct nbd_handshake *h)
{
	h->option = ovbd_get_be32(h->in + 8);
	h->option_size = ovbd_get_be32(h->in + 12);
	if (ovbd_get_be64(h->in) != NBD_IHAVEOPT ||
	    (h->option == NBD_OPT_EXPORT_NAME && h->option_size > NBD_STRING_MAX)) {
		h->state = NBD_SHAKE_OVER;
	} else if (h->option_size > NBD_OPTION_MAX) {
		h->skip = h->option_size;
		h->state = NBD_SHAKE_SKIP;
	} else if (h->option_size > 0) {
		h->state = NBD_SHAKE_DATA;
	} else {
		on_option(h);
	}
}

static size_t wanted(const struct nbd_handshake *h)
{
	switch (h->state) {
	case NBD_SHAKE_CLIENT_FLAGS:
		return NBD_CLIENT_FLAGS_SIZE;
	case NBD_SHAKE_OPTION:
		return NBD_OPTION_HEAD_SIZE;
	case NBD_SHAKE_DATA:
		return h->option_size;
	case NBD_SHAKE_SKIP:
		return h->skip < sizeof(h->in) ? h->skip : sizeof(h->in);
	case NBD_SHAKE_TLS:
	case NBD_SHAKE_DONE:
	case NBD_SHAKE_OVER:
		break;
	}
	return 0;
}

size_t nbd_handshake_want(struct nbd_handshake *h, uint8_t **ret_to)
{
	*ret_to = h->in + h->nin;
	return wanted(h) - h->nin;
}

void nbd_handshake_secured(struct nbd_handshake *h)
{
	assert(h->state == NBD_SHAKE_TLS);
	h->state = NBD_SHAKE_OPTION;
	h->session = (struct nbd_session){0};
	h->secured = true;
}

void nbd_handshake_step(struct nbd_handshake *h, size_t n)
{
	h->nout = 0;
	h->nin += n;
	assert(h->nin <= wanted(h));
	if (h->state == NBD_SHAKE_SKIP) {
		h->nin = 0;
		h->skip -= (uint32_t)n;
		if (h->skip == 0) {
			refuse(h, NBD_REP_ERR_TOO_BIG, "this option has too much data");
			h->state = NBD_SHAKE_OPTION;
		}
		return;
	}
	if (h->nin < wanted(h))
		return;
	h->nin = 0;
	if (h->state == NBD_SHAKE_CLIENT_FLAGS)
		on_client_flags(h);
	else if (h->state == NBD_SHAKE_OPTION)
		on_option_head(h);
	else if (h->state == NBD_SHAKE_DATA)
		on_option(h);
}

void nbd_handshake_init(struct nbd_handshake *h, const struct nbd_export *e)
{
	h->export = e;
	h->session = (struct nbd_session){0};
	h->state = NBD_SHAKE_CLIENT_FLAGS;
	h->no_zeroes = h->secured = false;
	h->skip = 0;
	h->nin = h->nout = 0;
	assert(strlen(e->name) <= NBD_STRING_MAX);
	put64(h, NBD_MAGIC);
	put64(h, NBD_IHAVEOPT);
	put16(h, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
}
