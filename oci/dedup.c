// SPDX-License-Identifier: Apache-2.0
/*
 * Rows are small, and each is a transaction of its own; the journal is a write-ahead log, so that
 * who reads does not wait for who writes. The file is ours by its application ID: no other database
 * is ever written to.
 */
#include "oci/dedup.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "image/manifest.h"

#define APPLICATION_ID 0x6f766264 /* "ovbd" */
#define VERSION        1
#define BUSY_MS        30000

static const char create_text[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE IF NOT EXISTS layers (chain_id TEXT NOT NULL, parameters TEXT NOT NULL,"
	" place TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,"
	" PRIMARY KEY (chain_id, parameters, place)) WITHOUT ROWID;"
	"PRAGMA application_id = 1870029412;"
	"PRAGMA user_version = 1;"
	"COMMIT;";

static const char find_text[] = "SELECT place, digest, size FROM layers"
				" WHERE chain_id = ?1 AND parameters = ?2"
				" ORDER BY place <> ?3, place LIMIT ?4";
static const char add_text[] =
	"INSERT INTO layers VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET"
	" digest = excluded.digest, size = excluded.size"
	" WHERE digest <> excluded.digest OR size <> excluded.size";
static const char drop_text[] =
	"DELETE FROM layers WHERE chain_id = ?1 AND parameters = ?2 AND place = ?3";

struct oci_dedup {
	sqlite3 *db;
	char *path;
	bool read_only, off;
	struct ovbd_error trouble; /* "": none that was not told */
};

static void finalize(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}
#define AUTO_STATEMENT OVBD_AUTO(finalize) sqlite3_stmt

static void give_up(struct oci_dedup *d, const char *what)
{
	ovbd_fail(&d->trouble, -EIO, "%s: cannot be %s: %s; it is not used any more", d->path, what,
	          sqlite3_errmsg(d->db));
	d->off = true;
}

/* ---- opening ---- */

static int one_number(sqlite3 *db, const char *text, int64_t *ret)
{
	AUTO_STATEMENT *s = NULL;
	int r = sqlite3_prepare_v2(db, text, -1, &s, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(s);
	if (r != SQLITE_ROW)
		return r;
	*ret = sqlite3_column_int64(s, 0);
	return SQLITE_OK;
}

/* 0: it is ours; 1: it is empty. What is damaged or cannot be read is no reason to fail; what is
 * another's is. */
static int check(struct oci_dedup *d, struct ovbd_error *err)
{
	int64_t id = 0, version = 0, ntables = 0;
	int r = one_number(d->db, "PRAGMA application_id", &id);

	if (r == SQLITE_OK)
		r = one_number(d->db, "PRAGMA user_version", &version);
	if (r == SQLITE_OK)
		r = one_number(d->db, "SELECT count(*) FROM sqlite_master", &ntables);
	if (r == SQLITE_NOTADB)
		return ovbd_fail(err, -EINVAL, "%s: is no database of SQLite's", d->path);
	if (r != SQLITE_OK) {
		give_up(d, "read");
		return 0;
	}
	if (id == 0 && version == 0 && ntables == 0)
		return 1;
	if (id != APPLICATION_ID)
		return ovbd_fail(err, -EINVAL,
		                 "%s: is a database of something else: it is left as it is",
		                 d->path);
	if (version != VERSION)
		return ovbd_fail(err, -ENOTSUP, "%s: is of version %" PRId64 ", not %d", d->path,
		                 version, VERSION);
	return 0;
}

/* Who comes first makes the table; others find it, or make it once more, which is the same. */
static int begin(struct oci_dedup *d, struct ovbd_error *err)
{
	const int r = check(d, err);

	if (r < 0 || d->read_only || d->off)
		return r < 0 ? r : 0;
	if (sqlite3_db_readonly(d->db, "main") == 1) {
		ovbd_fail(&d->trouble, -EACCES,
		          "%s: cannot be written: layers made now will not be found in it",
		          d->path);
		d->read_only = true;
		return 0;
	}
	/* whoever has it locked does the same */
	sqlite3_exec(d->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	if (r == 1 && sqlite3_exec(d->db, create_text, NULL, NULL, NULL) != SQLITE_OK)
		give_up(d, "written");
	return 0;
}

static int open_database(struct oci_dedup *d, struct ovbd_error *err)
{
	const int how =
		d->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

	if (sqlite3_open_v2(d->path, &d->db, how, NULL) != SQLITE_OK)
		return ovbd_fail(err, -EIO, "%s: cannot be opened: %s", d->path,
		                 d->db ? sqlite3_errmsg(d->db) : "out of memory");
	sqlite3_busy_timeout(d->db, BUSY_MS);
	return begin(d, err);
}

int oci_dedup_open(const char *spec, bool read_only, struct oci_dedup **ret, struct ovbd_error *err)
{
	static const char prefix[] = "sqlite:";
	struct oci_dedup *d;
	int r;

	*ret = NULL;
	if (strncmp(spec, prefix, strlen(prefix)) != 0 || spec[strlen(prefix)] == '\0')
		return ovbd_fail(err, -EINVAL, "%s: is no database of layers: sqlite:PATH", spec);
	if (read_only && access(spec + strlen(prefix), F_OK) != 0)
		return 0;
	d = calloc(1, sizeof(*d));
	if (d)
		d->path = strdup(spec + strlen(prefix));
	if (!d || !d->path) {
		free(d);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	d->read_only = read_only;
	r = open_database(d, err);
	if (r < 0)
		oci_dedup_close(d);
	else
		*ret = d;
	return r;
}

void oci_dedup_close(struct oci_dedup *take_d)
{
	if (!take_d)
		return;
	sqlite3_close(take_d->db);
	free(take_d->path);
	free(take_d);
}

bool oci_dedup_trouble(struct oci_dedup *d, struct ovbd_error *ret)
{
	if (!d || !d->trouble.msg[0])
		return false;
	*ret = d->trouble;
	d->trouble.msg[0] = '\0';
	return true;
}

/* ---- rows ---- */

/* Binds texts, up to NULL. */
static int prepare(struct oci_dedup *d, const char *text, const char *const *values,
                   sqlite3_stmt **ret)
{
	int r = sqlite3_prepare_v2(d->db, text, -1, ret, NULL);

	for (int i = 0; r == SQLITE_OK && values[i]; i++)
		r = sqlite3_bind_text(*ret, i + 1, values[i], -1, SQLITE_TRANSIENT);
	return r;
}

/* What is in the file may have been written by anybody. */
static bool take_row(sqlite3_stmt *s, struct oci_dedup_row *ret)
{
	const char *place = (const char *)sqlite3_column_text(s, 0);
	const char *digest = (const char *)sqlite3_column_text(s, 1);
	const int64_t size = sqlite3_column_int64(s, 2);

	if (!place || !digest || size <= 0 || strncmp(digest, "sha256:", 7) != 0 ||
	    !ovbd_digest_is_valid(digest) || strlen(digest) >= sizeof(ret->ref.digest))
		return false;
	*ret = (struct oci_dedup_row){.place = strdup(place), .ref = {.size = (uint64_t)size}};
	snprintf(ret->ref.digest, sizeof(ret->ref.digest), "%s", digest);
	return ret->place != NULL;
}

size_t oci_dedup_find(struct oci_dedup *d, const char *chain_id, const char *how, const char *place,
                      struct oci_dedup_row **ret)
{
	const char *const values[] = {chain_id, how, place ? place : "", NULL};
	AUTO_STATEMENT *s = NULL;
	size_t n = 0;
	int r;

	*ret = d && !d->off ? calloc(OCI_DEDUP_ROWS, sizeof((*ret)[0])) : NULL;
	if (!*ret)
		return 0;
	r = prepare(d, find_text, values, &s);
	if (r == SQLITE_OK)
		r = sqlite3_bind_int(s, 4, (int)OCI_DEDUP_ROWS);
	while (r == SQLITE_OK && (r = sqlite3_step(s)) == SQLITE_ROW) {
		n += take_row(s, &(*ret)[n]);
		r = SQLITE_OK;
	}
	if (r != SQLITE_DONE)
		give_up(d, "read");
	return n;
}

void oci_dedup_rows_free(struct oci_dedup_row *take_rows, size_t n)
{
	for (size_t i = 0; take_rows && i < n; i++)
		free(take_rows[i].place);
	free(take_rows);
}

static void change(struct oci_dedup *d, const char *text, const char *const *values, uint64_t size)
{
	AUTO_STATEMENT *s = NULL;
	int r;

	if (!d || d->off || d->read_only)
		return;
	r = prepare(d, text, values, &s);
	if (r == SQLITE_OK && size > 0)
		r = sqlite3_bind_int64(s, 5, (int64_t)size);
	if (r == SQLITE_OK)
		r = sqlite3_step(s);
	if (r != SQLITE_DONE)
		give_up(d, "written");
}

void oci_dedup_add(struct oci_dedup *d, const char *chain_id, const char *how, const char *place,
                   const struct oci_ref *ref)
{
	const char *const values[] = {chain_id, how, place, ref->digest, NULL};

	change(d, add_text, values, ref->size);
}

void oci_dedup_drop(struct oci_dedup *d, const char *chain_id, const char *how, const char *place)
{
	const char *const values[] = {chain_id, how, place, NULL};

	change(d, drop_text, values, 0);
}
