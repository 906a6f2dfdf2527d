// SPDX-License-Identifier: Apache-2.0
#include "remote/verity_impl.h"

#include <errno.h>

/* Looking an algorithm up takes as long as hashing a block: it is done once. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

EVP_MD_CTX *verity_hasher_create(void)
{
	EVP_MD_CTX *h;

	pthread_once(&once, fetch);
	h = sha256 ? EVP_MD_CTX_new() : NULL;
	if (h && EVP_DigestInit_ex2(h, sha256, NULL) == 1)
		return h;
	EVP_MD_CTX_free(h);
	return NULL;
}

static int hash(EVP_MD_CTX *h, const void *buf, size_t len, size_t npad,
                uint8_t ret[VERITY_HASH_SIZE])
{
	static const uint8_t zeros[OVBD_VERITY_BLOCK];

	if (EVP_DigestInit_ex2(h, NULL, NULL) != 1 || EVP_DigestUpdate(h, buf, len) != 1 ||
	    (npad > 0 && EVP_DigestUpdate(h, zeros, npad) != 1) ||
	    EVP_DigestFinal_ex(h, ret, NULL) != 1)
		return -ENOMEM;
	return 0;
}

int verity_hash(EVP_MD_CTX *h, const void *buf, size_t len, uint8_t ret[VERITY_HASH_SIZE])
{
	return hash(h, buf, len, 0, ret);
}

int verity_hash_block(EVP_MD_CTX *h, const void *buf, size_t len, uint8_t ret[VERITY_HASH_SIZE])
{
	return hash(h, buf, len, OVBD_VERITY_BLOCK - len, ret);
}

int verity_root(EVP_MD_CTX *h, uint64_t data_size, const uint8_t tree_hash[VERITY_HASH_SIZE],
                struct ovbd_verity_root *ret)
{
	uint8_t raw[VERITY_DESCRIPTOR_SIZE];

	verity_descriptor_encode(data_size, tree_hash, raw);
	return verity_hash(h, raw, sizeof(raw), ret->bytes);
}
