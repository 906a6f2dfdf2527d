// SPDX-License-Identifier: Apache-2.0
#include "remote/verity_format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define LOG_BLOCK_SIZE 12
#define VERSION        1
#define SHA256         1

struct verity_geometry verity_geometry(uint64_t data_size)
{
	struct verity_geometry g = {
		.data_size = data_size,
		.nblocks = data_size / OVBD_VERITY_BLOCK + (data_size % OVBD_VERITY_BLOCK != 0),
	};
	uint64_t n = g.nblocks, at = 0;

	while (n > 1) {
		n = n / VERITY_FANOUT + (n % VERITY_FANOUT != 0);
		g.levels[g.nlevels++].n = n;
	}
	for (unsigned level = g.nlevels; level-- > 0;) {
		g.levels[level].first = at;
		at += g.levels[level].n;
	}
	g.tree_size = at * OVBD_VERITY_BLOCK;
	return g;
}

uint64_t ovbd_verity_tree_size(uint64_t data_size)
{
	return verity_geometry(data_size).tree_size;
}

void verity_descriptor_encode(uint64_t data_size, const uint8_t tree_hash[VERITY_HASH_SIZE],
                              uint8_t ret[VERITY_DESCRIPTOR_SIZE])
{
	memset(ret, 0, VERITY_DESCRIPTOR_SIZE); /* salt, signature and what is reserved */
	ret[VERITY_OFF_VERSION] = VERSION;
	ret[VERITY_OFF_HASH_ALGORITHM] = SHA256;
	ret[VERITY_OFF_LOG_BLOCK_SIZE] = LOG_BLOCK_SIZE;
	ovbd_put_le64(ret + VERITY_OFF_DATA_SIZE, data_size);
	memcpy(ret + VERITY_OFF_TREE_HASH, tree_hash, VERITY_HASH_SIZE);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int ovbd_verity_root_parse(const char *text, struct ovbd_verity_root *ret, struct ovbd_error *err)
{
	struct ovbd_verity_root root;
	const char *hex = text + strlen("sha256:");

	if (strncmp(text, "sha512:", 7) == 0)
		return ovbd_fail(err, -ENOTSUP, "root '%.30s…': only SHA-256 is supported", text);
	if (strlen(text) != OVBD_VERITY_TEXT_SIZE - 1 || strncmp(text, "sha256:", 7) != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "'%.100s' is no root: sha256: and 64 hexadecimal digits", text);
	for (size_t i = 0; i < sizeof(root.bytes); i++) {
		const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return ovbd_fail(err, -EBADMSG,
			                 "'%s' is no root: sha256: and 64 hexadecimal digits",
			                 text);
		root.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret = root;
	return 0;
}

void ovbd_verity_root_text(const struct ovbd_verity_root *root, char ret[OVBD_VERITY_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *p = ret;

	memcpy(p, "sha256:", 7);
	p += 7;
	for (size_t i = 0; i < sizeof(root->bytes); i++) {
		*p++ = digits[root->bytes[i] >> 4];
		*p++ = digits[root->bytes[i] & 15];
	}
	*p = '\0';
}
