// SPDX-License-Identifier: Apache-2.0
/*
 * What ovbd does in a processor's own instructions, against the same in plain C, and a stack of
 * layers read through all of it. Needs nothing but libc, so it runs wherever a compiler can be had
 * for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "lsmt/index.h"
#include "lsmt/search.h"
#include "tests/lib/lsmt_make.h"

#define SECTOR UINT64_C(512)
#define DEVICE 65536u

#define must(good)                                                                                 \
	do {                                                                                       \
		if (!(good)) {                                                                     \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #good);                          \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static uint64_t seed = 1;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- checksum ---- */

static void check_crc(const struct ovbd_crc32c_impl *impl, const struct ovbd_crc32c_impl *table)
{
	static uint8_t buf[8192];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)random64();
	for (size_t len = 0; len < 600; len++) {
		const size_t at = random64() % 64;
		const uint32_t crc = (uint32_t)random64();

		must(impl->update(crc, buf + at, len) == table->update(crc, buf + at, len));
	}
	must(impl->update(100007, buf, sizeof(buf)) == table->update(100007, buf, sizeof(buf)));
	must(impl->update(0xffffffff, "123456789", 9) == 0x1cf96d7c); /* ~0xe3069283 */
}

static void check_crcs(void)
{
	const struct ovbd_crc32c_impl *const *table = ovbd_crc32c_impls;

	while (table[1])
		table++;
	for (const struct ovbd_crc32c_impl *const *impl = ovbd_crc32c_impls; *impl; impl++) {
		printf("crc32c %s: %s\n", (*impl)->name, (*impl)->supported() ? "yes" : "not here");
		if ((*impl)->supported())
			check_crc(*impl, *table);
	}
}

/* ---- search ---- */

static struct ovbd_index *make_index(uint64_t end, size_t n)
{
	const struct ovbd_index_bounds bounds = {.end = end, .src_end = end};
	const uint64_t stride = end / SECTOR / (n + 1);
	struct ovbd_index_builder *b;
	struct ovbd_index *ix;

	must(ovbd_index_builder_create(&bounds, &b, NULL) == 0);
	for (size_t i = 0; i < n; i++) {
		const uint64_t len = 1 + random64() % (stride < 16383 ? stride : 16383);
		const struct ovbd_segment s = {
			.off = (i * stride + random64() % (stride - len + 1)) * SECTOR,
			.len = len * SECTOR,
			.src = random64() % (end / SECTOR - len) * SECTOR,
			.layer = (uint32_t)(i % 255),
			.kind = i % 3 ? OVBD_RUN_DATA : OVBD_RUN_ZERO,
		};

		must(ovbd_index_builder_add(b, &s, NULL) == 0);
	}
	must(ovbd_index_builder_finish(b, &ix, NULL) == 0);
	return ix;
}

static void check_at(struct ovbd_index *ix, const struct ovbd_search *way, uint64_t off)
{
	struct ovbd_segment want, got;

	ovbd_index_use(ix, &ovbd_search_plain);
	want = ovbd_index_at(ix, off, 1 << 20);
	ovbd_index_use(ix, way);
	got = ovbd_index_at(ix, off, 1 << 20);
	must(got.off == want.off && got.len == want.len && got.kind == want.kind);
	must(got.src == want.src && got.layer == want.layer);
}

static void check_way(struct ovbd_index *ix, const struct ovbd_search *way)
{
	const uint64_t n = ovbd_index_count(ix), step = n / 500 + 1;

	for (uint64_t i = 0; i < n; i += step) {
		const struct ovbd_segment s = ovbd_index_get(ix, i);

		check_at(ix, way, s.off);
		check_at(ix, way, s.off - (s.off > 0));
		check_at(ix, way, s.off + s.len - 1);
		check_at(ix, way, s.off + s.len);
	}
	for (int i = 0; i < 1000; i++)
		check_at(ix, way, random64() % (ovbd_index_end(ix) + 4096));
	check_at(ix, way, UINT64_MAX - (1 << 20));
}

static void check_searches(void)
{
	static const size_t counts[] = {0, 1, 7, 8, 15, 16, 17, 143, 144, 545, 4911, 9000, 100000};

	for (const struct ovbd_search *const *way = ovbd_searches; *way; way++) {
		printf("search %s: %s\n", (*way)->name, (*way)->supported() ? "yes" : "not here");
		if (!(*way)->supported())
			continue;
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			for (int wide = 0; wide < 2; wide++) {
				struct ovbd_index *ix =
					make_index(wide ? OVBD_INDEX_END_MAX : INDEX_NARROW_END,
				                   counts[i]);

				must(ix->wide == wide);
				check_way(ix, *way);
				ovbd_index_free(ix);
			}
		}
	}
}

/* ---- a stack ---- */

static void check_stack(void)
{
	static uint8_t content[DEVICE], got[DEVICE];
	struct test_layer image[20];
	struct ovbd_layer *layer[20];
	struct ovbd_blob *stack;

	for (size_t i = 0; i < 20; i++) {
		struct test_writer w = test_writer_create(
			&(struct ovbd_layer_params){.virtual_size = DEVICE, .over_base = true});

		for (size_t k = 0; k < 10; k++) {
			const uint64_t off = random64() % (DEVICE / SECTOR) * SECTOR;
			const uint64_t most = (DEVICE - off) / SECTOR;
			const size_t len =
				(size_t)((1 + random64() % (most < 16 ? most : 16)) * SECTOR);

			memset(content + off, (int)(k % 4 * (1 + i)), len);
			must(ovbd_layer_put(w.w, off, content + off, len, NULL) == 0);
		}
		image[i] = test_writer_take(&w);
		must(test_layer_open(&image[i], &layer[i], NULL) == 0);
	}
	must(ovbd_stack_open(layer, 20, &stack, NULL) == 0);
	must(ovbd_blob_pread(stack, got, DEVICE, 0, NULL) == 0);
	must(memcmp(got, content, DEVICE) == 0);
	ovbd_blob_close(stack);
	for (size_t i = 0; i < 20; i++)
		free(image[i].p);
	printf("stack: read\n");
}

int main(void)
{
	check_crcs();
	check_searches();
	check_stack();
	return 0;
}
