/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From names to one device: a name is a path, a URL, an image configuration (JSON) or
 * docker://..., an image in a registry, and this is the only place that knows what can lie in
 * what: http or file -> tar member -> ZFile -> layer, layers -> stack.
 */
#ifndef OVBD_IMAGE_IMAGE_H
#define OVBD_IMAGE_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "lsmt/lsmt.h"
#include "ota/cow.h"
#include "ota/dm_snapshot.h"
#include "ota/dm_update.h"
#include "remote/download.h"
#include "remote/http.h"
#include "remote/prefetch.h"
#include "zfile/zfile.h"

enum ovbd_format {
	OVBD_FORMAT_AUTO,        /* find out */
	OVBD_FORMAT_RAW,         /* the bytes as they are */
	OVBD_FORMAT_LSMT,        /* a layer, not compressed */
	OVBD_FORMAT_ZFILE,       /* any bytes, compressed */
	OVBD_FORMAT_OVBD,        /* a layer in a ZFile */
	OVBD_FORMAT_IMAGE,       /* a configuration that names a stack of layers */
	OVBD_FORMAT_ANDROID_COW, /* an update of what lies beneath: ota/cow.h */
	OVBD_FORMAT_DM_UPDATE,   /* another: ota/dm_update.h */
	OVBD_FORMAT_DM_SNAPSHOT, /* the store of a snapshot: ota/dm_snapshot.h */
};

/* "raw", "lsmt", ...; and back: -EINVAL if unknown. */
const char *ovbd_format_name(enum ovbd_format f);
int ovbd_format_parse(const char *name, enum ovbd_format *ret);

/* One layer, or the one file that is not a layer. Everything is owned by the image. */
struct ovbd_image_layer {
	char *name;         /* path or URL */
	char *digest;       /* what a configuration says it has, unverified; or NULL */
	uint64_t said_size; /* bytes that it says besides; 0: it does not */
	char *shown;        /* the same for people: a URL without user, password and query */
	char *dir;          /* where it is downloaded to; or NULL */
	struct ovbd_download_params download;
	char *root, *tree;        /* what a configuration says proves it, and where; or NULL */
	enum ovbd_format format;  /* any but AUTO and IMAGE */
	bool tar;                 /* wrapped in a tar */
	uint64_t stored_size;     /* bytes of the file or object */
	struct ovbd_blob *http;   /* where it is remote: for ovbd_lazy_stats() */
	struct ovbd_blob *verity; /* where it is proven: for ovbd_verity_stats(); all its bytes */
	struct ovbd_blob *kept;   /* its bytes as they are stored, where a cache keeps them */
	struct ovbd_blob *ahead;  /* where it is remote: for ovbd_ahead_stats(), in its offsets */
	uint64_t tar_off;         /* bytes of it before the layer */
	struct ovbd_blob *zfile;  /* where it is compressed: for ovbd_zfile_info() and _check() */
	struct ovbd_layer *layer; /* where it is a layer: for ovbd_layer_info() and _index() */
	struct ovbd_cow *cow;     /* where it is a COW: for ovbd_cow_info() and _check() */
	struct ovbd_dm_update *update; /* where it is a dm-update: for ovbd_dm_update_info(), ... */
	struct ovbd_dm_snapshot *snapshot; /* where it is one: for ovbd_dm_snapshot_info() */
};

/* Whether it is read over what lies beneath. */
static inline bool ovbd_layer_is_update(const struct ovbd_image_layer *l)
{
	return l->cow || l->update || l->snapshot;
}

struct ovbd_image {
	struct ovbd_blob *blob; /* the device */
	enum ovbd_format
		format; /* of the one name given, IMAGE for a configuration or a stack of several */
	bool stack;     /* all are layers, and blob comes from ovbd_stack_open() */
	/* A configuration's writable layer, through which blob reads, and which takes writes of any
	 * length: image/upper.h. It is open once. NULL: there is none. Or its device with backup on
	 * write (image/bow.h), and no layers. */
	struct ovbd_device *upper;
	struct ovbd_blob *lower; /* what lies beneath it; NULL: nothing, or there is no upper */
	/* The same as upper, for snapshots (image/snapshot.h), and the configuration it is from. */
	struct ovbd_device *live;
	char *upper_config;
	bool part;      /* blob lies on what is beneath: ovbd_blob_open_below() */
	uint64_t reach; /* bytes, >= blob->size: content a larger layer on top would bring back */
	size_t nlayers; /* bottom first, without the upper; may be 0 beneath one */
	struct ovbd_image_layer *layers;
	_Atomic(struct ovbd_prefetch *) prefetch; /* what is fetched in the background; or NULL.
	                                           * Of a list of paths it comes later */
	uint64_t prefetch_named; /* bytes of objects that hold what a trace names, once it is */
	struct ovbd_image_list *list;       /* of paths, in place of a trace; or NULL */
	struct ovbd_error prefetch_trouble; /* why it is not done; "": it is, or nobody asked */
	struct ovbd_recorder *recorder;     /* of what is read, for the file record_path; or NULL */
	char *record_path;
	struct ovbd_cache
		*cache; /* NULL, or the caller leaves it here to be closed with the image */
	struct ovbd_registry *registry; /* the same */
	unsigned ignored; /* what its configurations ask for in vain: see image/config.h */
};

struct ovbd_cache;
struct ovbd_image_list;
struct ovbd_recorder;
struct ovbd_registry;
struct ovbd_shared;

/* What lies beneath the names, which themselves begin at the bottom. */
enum ovbd_beneath {
	OVBD_BENEATH_NOTHING, /* they are all of the device: what none of them has is zeros */
	OVBD_BENEATH_UNSAID,  /* so, unless the lowest is a layer that refers to more: it may be
	                       * looked at, but not read where it does */
	OVBD_BENEATH_UPDATE,  /* so, unless the lowest is an update: it lies over params.beneath */
	OVBD_BENEATH_STACK,   /* a layer or update is a part of a stack, over params.beneath */
};

enum ovbd_prefetch_mode {
	OVBD_PREFETCH_AUTO,  /* what a trace names, if one is given */
	OVBD_PREFETCH_NONE,  /* nothing is fetched before it is read */
	OVBD_PREFETCH_TRACE, /* what the trace names */
	OVBD_PREFETCH_ALL,   /* that, and then all else */
};

/* "none", "trace", "all": -EINVAL if it is none of them. */
int ovbd_prefetch_mode_parse(const char *name, enum ovbd_prefetch_mode *ret);
/* NULL: AUTO. */
const char *ovbd_prefetch_mode_name(enum ovbd_prefetch_mode mode);

/* What is fetched in the background once the image is open. */
struct ovbd_image_prefetch {
	enum ovbd_prefetch_mode mode;
	const char *trace; /* a file: docs/format-trace.md, or a list of paths (image/paths.h);
	                    * NULL: none. One that is neither is an error of ovbd_image_open(),
	                    * before anything else is opened */
	/* Why not all of a list of paths is fetched: seldom more than a sentence, from another
	 * thread, until the image is closed. Or NULL. */
	void (*told)(void *arg, const char *sentence);
	void *arg;
	struct ovbd_prefetch_params params;
	enum ovbd_prefetch_mode otherwise; /* if neither mode nor a configuration says it */
	/* Also what configurations ask for, as far as mode and trace do not: a file that cannot be
	 * read is no error then, but in prefetch_trouble. Where recordTracePath is an empty file,
	 * what is read is recorded: see record_path. */
	bool configured;
};

struct ovbd_image_params {
	enum ovbd_format format;              /* of every name; AUTO detects */
	const struct ovbd_http_params *http;  /* NULL: defaults */
	struct ovbd_registry *registry;       /* image/registry.h: who we are, and whom to ask;
	                                      * outlives the image; or NULL */
	struct ovbd_shared *shared;           /* image/shared.h; NULL: nothing is shared */
	bool metered;                         /* reads of local layers: remote/metrics.h */
	bool no_upper;                        /* without a writable layer; blob may be NULL then */
	struct ovbd_cache *cache;             /* remote/cache.h, outlives the image; or NULL */
	struct ovbd_recorder *recorder;       /* image/recorder.h, outlives the image; or NULL */
	struct ovbd_image_prefetch prefetch;  /* of what is remote */
	struct ovbd_downloads *downloads;     /* outlives the image; NULL: nothing is downloaded */
	struct ovbd_download_params download; /* where a configuration does not say how */
	struct ovbd_cow_params cow;           /* how far updates are read */
	/* Only layers first to last of what the names lead to, counted from the bottom; last
	 * SIZE_MAX: the topmost. As a device of size bytes; 0: as large as they say. */
	struct ovbd_image_range {
		bool given;
		size_t first, last;
		uint64_t size;
	} range;
	enum ovbd_beneath below;
	struct ovbd_blob *beneath; /* stays the caller's, and outlives the image; NULL: unknown, and
	                            * reading it fails with this hint */
	const char *hint;
};

/* Opens names[0 .. n - 1], bottom first. n = 1: any format. n > 1: every name is a layer, an
 * update, or a configuration whose layers are meant; the first may also be any device, as it is
 * (unless it ends like a layer, whose header must be damaged then). p may be NULL. */
int ovbd_image_open(const char *const *names, size_t n, const struct ovbd_image_params *p,
                    struct ovbd_image **ret, struct ovbd_error *err);

/* Whether name is a configuration (1, 0, or -errno), and whether it has a writable layer. */
int ovbd_image_is_config(const char *name, bool *ret_upper, struct ovbd_error *err);

/* The files of its writable layer, to be freed; NULL: it has none. *ret_index: NULL or "" if it is
 * one file. Nothing of the image is opened. */
int ovbd_image_upper_files(const char *config, char **ret_data, char **ret_index,
                           struct ovbd_error *err);

/* Whether a read may have to wait for a network. */
static inline bool ovbd_image_is_remote(const struct ovbd_image *img)
{
	bool remote = false;

	for (size_t i = 0; i < img->nlayers; i++)
		remote |= img->layers[i].http != NULL;
	return remote;
}

/* Makes the device of an image with a writable layer larger, as ovbd_device_grow() of that; -EINVAL
 * for others. Snapshots wait. */
int ovbd_image_grow(struct ovbd_image *img, uint64_t size, struct ovbd_error *err);

/*
 * Content beyond the end of a device that has shrunk is still there, in a layer below, and a larger
 * layer on top would show it again (docs/format-lsmt.md). So a layer of a device of size bytes over
 * img zeroes what img has beyond its own end, or the new device's: call this before anything is
 * put.
 */
int ovbd_image_cover_hidden(const struct ovbd_image *img, uint64_t size,
                            struct ovbd_layer_writer *w, struct ovbd_error *err);

/* NULL is fine. */
void ovbd_image_close(struct ovbd_image *take_img);

static inline void ovbd_image_closep(struct ovbd_image **img)
{
	ovbd_image_close(*img);
}

#endif
