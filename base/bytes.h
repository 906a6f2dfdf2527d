/* SPDX-License-Identifier: Apache-2.0 */
/* Little- and big-endian numbers in byte buffers, at any alignment; and arithmetic that notices
 * overflow. */
#ifndef OVBD_BASE_BYTES_H
#define OVBD_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static inline uint16_t ovbd_get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t ovbd_get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t ovbd_get_le64(const uint8_t *p)
{
	return (uint64_t)ovbd_get_le32(p) | (uint64_t)ovbd_get_le32(p + 4) << 32;
}

static inline void ovbd_put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void ovbd_put_le32(uint8_t *p, uint32_t v)
{
	ovbd_put_le16(p, (uint16_t)v);
	ovbd_put_le16(p + 2, (uint16_t)(v >> 16));
}

static inline void ovbd_put_le64(uint8_t *p, uint64_t v)
{
	ovbd_put_le32(p, (uint32_t)v);
	ovbd_put_le32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t ovbd_get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t ovbd_get_be32(const uint8_t *p)
{
	return (uint32_t)ovbd_get_be16(p) << 16 | ovbd_get_be16(p + 2);
}

static inline uint64_t ovbd_get_be64(const uint8_t *p)
{
	return (uint64_t)ovbd_get_be32(p) << 32 | ovbd_get_be32(p + 4);
}

static inline void ovbd_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void ovbd_put_be32(uint8_t *p, uint32_t v)
{
	ovbd_put_be16(p, (uint16_t)(v >> 16));
	ovbd_put_be16(p + 2, (uint16_t)v);
}

static inline void ovbd_put_be64(uint8_t *p, uint64_t v)
{
	ovbd_put_be32(p, (uint32_t)(v >> 32));
	ovbd_put_be32(p + 4, (uint32_t)v);
}

/* *ret = a + b; false, and *ret untouched, if that overflows. */
static inline bool ovbd_add(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

/* *ret = a * b; false, and *ret untouched, if that overflows. */
static inline bool ovbd_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

/* Whether [off, off + len) lies within [0, size), without overflow. */
static inline bool ovbd_within(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* Up or down to a multiple of the power of two to. Up: the caller knows that it does not
 * overflow. */
static inline uint64_t ovbd_align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

static inline uint64_t ovbd_align_down(uint64_t v, uint64_t to)
{
	return v & ~(to - 1);
}

static inline uint64_t ovbd_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t ovbd_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Zeroed memory for n elements of size bytes; NULL if it overflows or there is none. n = 0 gives
 * a pointer that may be freed. */
static inline void *ovbd_array_alloc(uint64_t n, size_t size)
{
	uint64_t bytes;

	if (!ovbd_mul(n ? n : 1, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	return calloc(1, (size_t)bytes);
}

/* Whether len bytes are all zero. Fast: memory speed for zeros, a few cycles otherwise. */
bool ovbd_is_zero(const void *buf, size_t len);

#endif
