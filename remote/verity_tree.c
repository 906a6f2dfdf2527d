// SPDX-License-Identifier: Apache-2.0
/*
 * The tree as it is read: its blocks are fetched when they are needed, several neighbours at once
 * since a round trip takes longer than they do, and each is held against its hash in the block
 * above, up to the last level's, which opening has held against the root. What is proven stays in
 * memory, up to a limit; what falls out is fetched and proven again.
 *
 * Who needs what somebody is fetching waits for that, and shares its failure: a server that is away
 * costs all readers one deadline.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "remote/verity_impl.h"
#include "remote/metrics.h"

#define WINDOW   16u  /* blocks that are fetched at once; a divisor of VERITY_FANOUT */
#define KEPT_MAX 512u /* blocks in memory: of 2 MiB, the hashes of 256 MiB */
#define BLOCK    OVBD_VERITY_BLOCK
#define NO_BLOCK UINT64_MAX /* of the top, which is block 0, nothing is kept */

/* A window on its way. */
struct flight {
	struct flight *next; /* in tree.flights */
	uint64_t first;      /* block of the tree */
	unsigned refs;
	bool done;
	int code;
	struct ovbd_error err;
};

struct verity_tree {
	struct ovbd_blob *blob; /* owned */
	char *name;
	struct verity_geometry g;
	struct ovbd_verity_root root;
	atomic_uint_fast64_t *refetched;
	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t landed;
	struct flight *flights;
	bool has_top;
	uint8_t top[BLOCK]; /* the block of the last level */
	uint64_t clock;
	uint64_t at[KEPT_MAX];   /* which block of the tree; NO_BLOCK: none */
	uint64_t used[KEPT_MAX]; /* by the clock */
	uint8_t *kept[KEPT_MAX];
};

/* Under the lock. KEPT_MAX: not there. */
static unsigned find(const struct verity_tree *t, uint64_t block)
{
	unsigned i = 0;

	while (i < KEPT_MAX && t->at[i] != block)
		i++;
	return i;
}

/* Under the lock. Without memory it is just not kept. */
static void keep(struct verity_tree *t, uint64_t block, const uint8_t *bytes)
{
	unsigned slot = find(t, block);

	if (slot == KEPT_MAX) {
		slot = 0;
		for (unsigned i = 1; i < KEPT_MAX; i++)
			if (t->used[i] < t->used[slot])
				slot = i;
	}
	if (!t->kept[slot])
		t->kept[slot] = malloc(BLOCK);
	if (!t->kept[slot])
		return;
	memcpy(t->kept[slot], bytes, BLOCK);
	t->at[slot] = block;
	t->used[slot] = ++t->clock;
}

/* Under the lock. */
static bool recall(struct verity_tree *t, uint64_t block, uint8_t ret[BLOCK])
{
	const unsigned slot = block == 0 ? KEPT_MAX : find(t, block);

	if (slot == KEPT_MAX && !(block == 0 && t->has_top))
		return false;
	memcpy(ret, block == 0 ? t->top : t->kept[slot], BLOCK);
	if (slot < KEPT_MAX)
		t->used[slot] = ++t->clock;
	return true;
}

/* ---- fetching ---- */

static bool is_right(EVP_MD_CTX *h, const uint8_t *block, const uint8_t *want)
{
	uint8_t hash[VERITY_HASH_SIZE];

	return verity_hash(h, block, BLOCK, hash) == 0 && memcmp(hash, want, sizeof(hash)) == 0;
}

/* Once more, since it was wrong. */
static int fetch_again(struct verity_tree *t, EVP_MD_CTX *h, uint64_t block, const uint8_t *want,
                       uint8_t *buf, struct ovbd_error *err)
{
	int r;

	atomic_fetch_add(t->refetched, 1);
	ovbd_remote_count(OVBD_COUNT_UNVERIFIED, 1);
	ovbd_blob_distrust(t->blob, block * BLOCK, BLOCK);
	r = ovbd_blob_pread(t->blob, buf, BLOCK, block * BLOCK, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "Merkle tree");
	if (is_right(h, buf, want))
		return 0;
	return ovbd_fail(err, -EBADMSG,
	                 "Merkle tree %s: block %llu at %llu is not what the root says, read twice",
	                 t->name, (unsigned long long)block, (unsigned long long)(block * BLOCK));
}

/* Fetches the window that has block number of level, and keeps what is right of it; wanted is
 * copied to ret. parent is the block above it. */
static int fetch_window(struct verity_tree *t, unsigned level, uint64_t number,
                        const uint8_t *parent, uint8_t ret[BLOCK], struct ovbd_error *err)
{
	const uint64_t from = number - number % WINDOW;
	const unsigned n = (unsigned)ovbd_min(WINDOW, t->g.levels[level].n - from);
	const uint64_t first = t->g.levels[level].first + from;
	AUTO_FREE uint8_t *buf = malloc((size_t)n * BLOCK);
	AUTO_HASHER *h = verity_hasher_create();
	int r;

	if (!buf || !h)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_blob_pread(t->blob, buf, (size_t)n * BLOCK, first * BLOCK, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "Merkle tree");
	for (unsigned i = 0; r == 0 && i < n; i++) {
		const uint8_t *want =
			parent + (size_t)((from + i) % VERITY_FANOUT) * VERITY_HASH_SIZE;
		uint8_t *block = buf + (size_t)i * BLOCK;
		bool right = is_right(h, block, want);

		if (!right && from + i == number) {
			r = fetch_again(t, h, first + i, want, block, err);
			right = r == 0;
		}
		if (!right)
			continue;
		pthread_mutex_lock(&t->lock);
		keep(t, first + i, block);
		pthread_mutex_unlock(&t->lock);
	}
	if (r == 0)
		memcpy(ret, buf + (number - from) * BLOCK, BLOCK);
	return r;
}

/* Whether top, size and root belong together. */
static int check_top(const struct verity_tree *t, EVP_MD_CTX *h, const uint8_t top[BLOCK],
                     struct ovbd_error *err)
{
	char has[OVBD_VERITY_TEXT_SIZE], want[OVBD_VERITY_TEXT_SIZE];
	struct ovbd_verity_root got;
	uint8_t hash[VERITY_HASH_SIZE];

	if (verity_hash(h, top, BLOCK, hash) < 0 || verity_root(h, t->g.data_size, hash, &got) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	if (memcmp(&got, &t->root, sizeof(got)) == 0)
		return 0;
	ovbd_verity_root_text(&got, has);
	ovbd_verity_root_text(&t->root, want);
	return ovbd_fail(err, -EBADMSG,
	                 "Merkle tree %s: with %llu bytes of data its root is %s, not %s", t->name,
	                 (unsigned long long)t->g.data_size, has, want);
}

static int fetch_top(struct verity_tree *t, uint8_t ret[BLOCK], struct ovbd_error *err)
{
	AUTO_HASHER *h = verity_hasher_create();
	int r;

	if (!h)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	r = ovbd_blob_pread(t->blob, ret, BLOCK, 0, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "Merkle tree");
	r = check_top(t, h, ret, err);
	if (r == -EBADMSG) {
		atomic_fetch_add(t->refetched, 1);
		ovbd_remote_count(OVBD_COUNT_UNVERIFIED, 1);
		ovbd_blob_distrust(t->blob, 0, BLOCK);
		r = ovbd_blob_pread(t->blob, ret, BLOCK, 0, err);
		r = r < 0 ? ovbd_fail_within(err, r, "Merkle tree") : check_top(t, h, ret, err);
	}
	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	memcpy(t->top, ret, BLOCK);
	t->has_top = true;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

/* Under the lock. */
static struct flight *find_flight(const struct verity_tree *t, uint64_t first)
{
	struct flight *f = t->flights;

	while (f && f->first != first)
		f = f->next;
	return f;
}

/* Under the lock. */
static void let_go(struct flight *f)
{
	if (--f->refs == 0)
		free(f);
}

/* Waits for another's; its failure is ours. Under the lock. */
static int wait_for(struct verity_tree *t, struct flight *f, struct ovbd_error *err)
{
	int r;

	f->refs++;
	while (!f->done)
		pthread_cond_wait(&t->landed, &t->lock);
	r = f->code < 0 ? ovbd_fail(err, f->code, "%s", f->err.msg) : 0;
	let_go(f);
	return r;
}

/* Under the lock, which is let go in between. */
static int fly(struct verity_tree *t, unsigned level, uint64_t number, const uint8_t *parent,
               uint8_t ret[BLOCK], struct ovbd_error *err)
{
	struct flight *f = calloc(1, sizeof(*f)), **at;
	int r;

	if (!f)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	f->first = t->g.levels[level].first + number - number % WINDOW;
	f->refs = 1;
	f->next = t->flights;
	t->flights = f;
	pthread_mutex_unlock(&t->lock);
	r = parent ? fetch_window(t, level, number, parent, ret, &f->err)
	           : fetch_top(t, ret, &f->err);
	pthread_mutex_lock(&t->lock);
	for (at = &t->flights; *at != f; at = &(*at)->next)
		;
	*at = f->next;
	f->done = true;
	f->code = r;
	if (r < 0)
		ovbd_fail(err, r, "%s", f->err.msg);
	pthread_cond_broadcast(&t->landed);
	let_go(f);
	return r;
}

/* Block number of level, of which the one above is parent; NULL: the last level's. */
static int get(struct verity_tree *t, unsigned level, uint64_t number, const uint8_t *parent,
               uint8_t ret[BLOCK], struct ovbd_error *err)
{
	const uint64_t block = t->g.levels[level].first + number;
	struct flight *f;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	while (r == 0 && !recall(t, block, ret)) {
		f = find_flight(t, t->g.levels[level].first + number - number % WINDOW);
		if (f) {
			r = wait_for(t, f, err);
			if (r == -ECANCELED)
				r = 0; /* whose it was has lost interest */
			continue;
		}
		r = fly(t, level, number, parent, ret, err);
		break;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

int verity_tree_hashes(struct verity_tree *t, uint64_t number, uint8_t ret[BLOCK],
                       struct ovbd_error *err)
{
	uint64_t numbers[VERITY_LEVELS_MAX];
	unsigned level = 0;
	int r = 0;

	numbers[0] = number;
	for (unsigned i = 1; i < t->g.nlevels; i++)
		numbers[i] = numbers[i - 1] / VERITY_FANOUT;
	/* the lowest that is there */
	pthread_mutex_lock(&t->lock);
	while (level < t->g.nlevels && !recall(t, t->g.levels[level].first + numbers[level], ret))
		level++;
	pthread_mutex_unlock(&t->lock);
	while (r == 0 && level-- > 0) {
		const bool top = level + 1 == t->g.nlevels;
		uint8_t parent[BLOCK];

		memcpy(parent, ret, top ? 0 : BLOCK);
		r = get(t, level, numbers[level], top ? NULL : parent, ret, err);
	}
	return r;
}

/* ---- opening ---- */

int verity_tree_open(struct ovbd_blob *take_blob, const char *name, const struct verity_geometry *g,
                     const struct ovbd_verity_root *root, atomic_uint_fast64_t *refetched,
                     bool lazily, struct verity_tree **ret, struct ovbd_error *err)
{
	AUTO_BLOB *blob = take_blob;
	OVBD_AUTO(verity_tree_closep) struct verity_tree *t = NULL;
	uint8_t top[BLOCK];
	int r = 0;

	if (blob->size != g->tree_size)
		return ovbd_fail(
			err, -EBADMSG,
			"Merkle tree %s: is %llu bytes; that of %llu bytes of data is %llu", name,
			(unsigned long long)blob->size, (unsigned long long)g->data_size,
			(unsigned long long)g->tree_size);
	t = calloc(1, sizeof(*t));
	if (!t)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->landed, NULL);
	t->blob = OVBD_MOVE(blob);
	t->g = *g;
	t->root = *root;
	t->refetched = refetched;
	for (unsigned i = 0; i < KEPT_MAX; i++)
		t->at[i] = NO_BLOCK;
	t->name = strdup(name);
	if (!t->name)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (!lazily)
		r = fetch_top(t, top, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(t);
	return 0;
}

void verity_tree_close(struct verity_tree *take_t)
{
	if (!take_t)
		return;
	ovbd_blob_close(take_t->blob);
	for (unsigned i = 0; i < KEPT_MAX; i++)
		free(take_t->kept[i]);
	pthread_mutex_destroy(&take_t->lock);
	pthread_cond_destroy(&take_t->landed);
	free(take_t->name);
	free(take_t);
}
