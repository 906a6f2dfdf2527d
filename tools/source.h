/* SPDX-License-Identifier: Apache-2.0 */
/* The images a verb reads, opened from what the user has named. */
#ifndef OVBD_TOOLS_SOURCE_H
#define OVBD_TOOLS_SOURCE_H

#include "image/image.h"
#include "tools/cli.h"

/* Opens names as one image. A failure is told, with what may help; *ret_status is then the exit
 * status and the return value -errno. */
int ovbd_source_open(const struct ovbd_cli *c, const char *const *names, size_t n,
                     const struct ovbd_image_params *p, struct ovbd_image **ret, int *ret_status);

/* For a verb whose options are those of OVBD_SOURCE_OPTIONS and --output, and whose operands are
 * one image: parses them and opens it; from then on an interrupt is heeded. 0, or -1: it shall
 * return c->status. */
int ovbd_source_from_cli(struct ovbd_cli *c, struct ovbd_image **ret, bool *ret_json);

/* Bytes of img's device; 0: that of what lies beneath, which is not known. */
uint64_t ovbd_source_size(const struct ovbd_image *img);

/* Whether any layer of img is remote. */
bool ovbd_source_is_remote(const struct ovbd_image *img);

/* With -v: what was fetched of img's remote layers. */
void ovbd_source_note_fetched(const struct ovbd_cli *c, const struct ovbd_image *img);

/* Whether names lead to the network, as far as can be seen without opening them. */
bool ovbd_source_maybe_remote(const char *const *names, size_t n);

/* Takes an option of OVBD_SOURCE_OPTIONS; others are left alone. 0, or -1 after telling a
 * mistake. */
int ovbd_source_option(struct ovbd_cli *c, int id, struct ovbd_image_params *p);

/* Takes an option of OVBD_PREFETCH_OPTIONS; others are left alone. 1: it was one; 0; or -1 after
 * telling a mistake. */
int ovbd_source_prefetch_option(struct ovbd_cli *c, int id, struct ovbd_image_prefetch *how);

/* -1, and told, if the options contradict each other. */
int ovbd_source_prefetch_check(struct ovbd_cli *c, const struct ovbd_image_prefetch *how);

#define OVBD_OPTION_PREFETCH      (OVBD_OPTION_LONG + 102)
#define OVBD_OPTION_TRACE         (OVBD_OPTION_LONG + 103)
#define OVBD_OPTION_PREFETCH_RATE (OVBD_OPTION_LONG + 104)
#define OVBD_PREFETCH_OPTIONS                                                                      \
	{OVBD_OPTION_TRACE, "trace", "FILE",                                                       \
	 "Fetch in the background what this trace, or list of paths, names, in its order, before " \
	 "it is read (see ovbd trace)."},                                                          \
		{OVBD_OPTION_PREFETCH, "prefetch", "none|trace|all",                               \
	         "What is fetched of remote layers before it is read: nothing, what the trace "    \
	         "names (the default if there is one), or all, beginning with that."},             \
	{                                                                                          \
		OVBD_OPTION_PREFETCH_RATE, "prefetch-rate", "SIZE",                                \
			"Fetch so much in a second at most, for that."                             \
	}

/* The value of an option that takes a format. A mistake is told, and -1 returned. */
int ovbd_source_format(struct ovbd_cli *c, const char *value, enum ovbd_format *ret);

#define OVBD_OPTION_FORMAT_ENTRY                                                                   \
	{                                                                                          \
		'f', "format", "FMT",                                                              \
			"What SRC is: auto (default), raw, lsmt, zfile, ovbd, image, "             \
			"android-cow, dm-update or dm-snapshot."                                   \
	}

/* Names with each oci:DIR[:TAG] replaced by the paths of its layers. *ret is to be freed. */
struct ovbd_source_names {
	char **all;
	size_t n;
};

int ovbd_source_names(const struct ovbd_cli *c, const char *const *names, size_t n,
                      struct ovbd_source_names *ret, struct ovbd_error *err);
void ovbd_source_names_free(struct ovbd_source_names *n);

/* As ovbd_image_open(), with the registry and the deadline of the options; the registry is closed
 * with the image. */
int ovbd_source_image(const struct ovbd_cli *c, const char *const *names, size_t n,
                      const struct ovbd_image_params *p, struct ovbd_image **ret,
                      struct ovbd_error *err);

#define OVBD_OPTION_LABEL (OVBD_OPTION_LONG + 101)
#define OVBD_SOURCE_OPTIONS                                                                        \
	OVBD_OPTION_FORMAT_ENTRY,                                                                  \
		{OVBD_OPTION_LABEL, "label", "N|last",                                             \
	         "Read an Android update up to this label; last: up to its last one, if "          \
	         "it was never finished."},                                                        \
		OVBD_REMOTE_OPTIONS

#endif
