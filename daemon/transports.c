// SPDX-License-Identifier: Apache-2.0
/*
 * What "auto" means is found out when the image is open, as not every kind can take every image. A
 * kind is passed over for what it is (suits) or for what the host lacks (available); each reason is
 * kept, so that who wonders why a device is a file, and no disk, can be told.
 */
#include "daemon/transports.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"

/* Best first. What a build does not have, CMake leaves out. */
const struct ovbd_transport_kind *ovbd_transport_kinds[] = {
#ifdef OVBD_HAVE_UBLK
	&ovbd_transport_kind_ublk,
#endif
	&ovbd_transport_kind_tcmu,       &ovbd_transport_kind_nbd,
#ifdef OVBD_HAVE_FUSE
	&ovbd_transport_kind_fuse,
#endif
	&ovbd_transport_kind_nbd_socket, &ovbd_transport_kind_dmuser,
	&ovbd_transport_kind_dmuser_old, NULL,
};

const struct ovbd_transport_kind *ovbd_transport_kind_at(unsigned i)
{
	return ovbd_transport_kinds[i];
}

void ovbd_transport_kinds_needs(uint64_t *ret_caps, unsigned *ret_calls)
{
	*ret_caps = 0;
	*ret_calls = 0;
	for (unsigned i = 0; ovbd_transport_kinds[i]; i++) {
		*ret_caps |= ovbd_transport_kinds[i]->caps;
		*ret_calls |= ovbd_transport_kinds[i]->calls;
	}
}

#define SEPARATORS ", "

/* Whether name is one of the words of names. */
static bool is_named(const char *names, const char *name)
{
	const size_t n = strlen(name);

	for (; *names; names += strcspn(names, SEPARATORS)) {
		names += strspn(names, SEPARATORS);
		if (strcspn(names, SEPARATORS) == n && strncmp(names, name, n) == 0)
			return true;
	}
	return false;
}

int ovbd_transport_kinds_select(const char *names, struct ovbd_error *err)
{
	AUTO_FREE char *words = strdup(names);
	const struct ovbd_transport_kind *kind;
	char *rest = NULL;
	unsigned n = 0;

	if (!words)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (!names[0])
		return 0;
	if (!names[strspn(names, SEPARATORS)])
		return ovbd_fail(err, -EINVAL, "transports '%.200s': names none", names);
	for (char *w = strtok_r(words, SEPARATORS, &rest); w; w = strtok_r(NULL, SEPARATORS, &rest))
		if (strcmp(w, "auto") == 0 || ovbd_transport_kind_find(w, &kind, err) < 0)
			return ovbd_fail(err, -EINVAL, "transports '%.200s': there is no '%.40s'",
			                 names, w);
	for (unsigned i = 0; ovbd_transport_kinds[i]; i++)
		if (is_named(names, ovbd_transport_kinds[i]->name))
			ovbd_transport_kinds[n++] = ovbd_transport_kinds[i];
	ovbd_transport_kinds[n] = NULL;
	return 0;
}

int ovbd_transport_kinds_prepare(struct ovbd_error *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && ovbd_transport_kinds[i]; i++)
		if (ovbd_transport_kinds[i]->prepare)
			r = ovbd_transport_kinds[i]->prepare(err);
	return r;
}

int ovbd_transport_kind_find(const char *name, const struct ovbd_transport_kind **ret,
                             struct ovbd_error *err)
{
	char known[128] = "auto";

	*ret = NULL;
	if (strcmp(name, "auto") == 0)
		return 0;
	for (unsigned i = 0; ovbd_transport_kinds[i]; i++) {
		const size_t at = strlen(known);

		if (strcmp(ovbd_transport_kinds[i]->name, name) == 0) {
			*ret = ovbd_transport_kinds[i];
			return 0;
		}
		snprintf(known + at, sizeof(known) - at, ", %s", ovbd_transport_kinds[i]->name);
	}
	return ovbd_fail(err, -EINVAL, "unknown transport '%.80s': there are %s", name, known);
}

int ovbd_transport_kind_suits(const struct ovbd_transport_kind *k,
                              const struct ovbd_transport_need *need, struct ovbd_error *err)
{
	if (need->writable && !k->writable)
		return ovbd_fail(err, -ENOTSUP, "is read-only: it takes no writes");
	if (need->discards && !k->discards)
		return ovbd_fail(err, -ENOTSUP,
		                 "has no discards, only holes, which must read as zeros: nothing "
		                 "would ever be free for backups on write");
	if (need->path && !k->suffix)
		return ovbd_fail(err, -EINVAL, "the kernel names its devices, none can be at %s",
		                 need->path);
	if (k->block_size == 0 || need->size == OVBD_TRANSPORT_ANY_SIZE)
		return 0;
	if (need->size == 0)
		return ovbd_fail(err, -ENOTSUP, "makes no disk of an empty image");
	if (need->size % k->block_size != 0)
		return ovbd_fail(err, -ENOTSUP,
		                 "makes disks of whole blocks of %u bytes, and the image has "
		                 "%" PRIu64 " bytes",
		                 k->block_size, need->size);
	return 0;
}

void ovbd_transport_verdicts_free(struct ovbd_transport_verdict *take_list)
{
	for (struct ovbd_transport_verdict *v = take_list; v && v->kind; v++)
		free(v->reason);
	free(take_list);
}

void ovbd_transport_verdicts_text(const struct ovbd_transport_verdict *list, char *ret, size_t size)
{
	size_t at = 0;

	ret[0] = '\0';
	for (const struct ovbd_transport_verdict *v = list; v->kind && at < size; v++)
		at += (size_t)snprintf(ret + at, size - at, "%s%s: %s", at > 0 ? "; " : "",
		                       v->kind->name, v->reason ? v->reason : "taken");
}

/* A reason, which may begin with the kind's name; the list has that already. */
static char *reason_of(const struct ovbd_transport_kind *k, const char *said)
{
	const size_t n = strlen(k->name);

	if (strncmp(said, k->name, n) == 0 && strncmp(said + n, ": ", 2) == 0)
		said += n + 2;
	return strdup(said);
}

/* 0: it is the one. */
static int judge(const struct ovbd_transport_kind *k, const struct ovbd_transport_need *need,
                 struct ovbd_transport_verdict *ret)
{
	struct ovbd_error why = {0};
	int r;

	*ret = (struct ovbd_transport_verdict){.kind = k};
	if (k->only_by_name)
		r = ovbd_fail(&why, -ENOTSUP, "%s", k->only_by_name);
	else
		r = ovbd_transport_kind_suits(k, need, &why);
	if (r == 0)
		r = k->available(&why);
	if (r == 0)
		return 0;
	ret->reason = reason_of(k, why.msg);
	return ret->reason ? r : -ENOMEM;
}

/* The verdicts of before, the last one's reason being why, in list; how many. -ENOMEM */
static int copy_verdicts(const struct ovbd_transport_verdict *before, const char *why,
                         struct ovbd_transport_verdict *list)
{
	int n = 0;

	for (; before && before[n].kind; n++) {
		list[n].kind = before[n].kind;
		list[n].reason =
			reason_of(before[n].kind, before[n].reason ? before[n].reason : why);
		if (!list[n].reason)
			return -ENOMEM;
	}
	return n;
}

int ovbd_transport_kind_choose_again(const struct ovbd_transport_kind *const *kinds,
                                     const struct ovbd_transport_need *need,
                                     const struct ovbd_transport_verdict *before, const char *why,
                                     struct ovbd_transport_verdict **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_transport_verdicts_freep) struct ovbd_transport_verdict *list = NULL;
	char reasons[OVBD_ERROR_SIZE - 128];
	int n = 0, from, r = -ENOTSUP;

	while (kinds[n])
		n++;
	list = calloc((size_t)n + 1, sizeof(*list));
	from = list ? copy_verdicts(before, why, list) : -ENOMEM;
	if (from < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (int i = from; i < n && r != 0; i++) {
		r = judge(kinds[i], need, &list[i]);
		if (r == -ENOMEM)
			return ovbd_fail(err, r, "out of memory");
	}
	if (r < 0) {
		ovbd_transport_verdicts_text(list, reasons, sizeof(reasons));
		return ovbd_fail(err, -ENOTSUP, "no transport for it ('ovbd doctor' says more): %s",
		                 n > 0 ? reasons : "this build has none");
	}
	*ret = OVBD_MOVE(list);
	return 0;
}

int ovbd_transport_kind_choose(const struct ovbd_transport_kind *const *kinds,
                               const struct ovbd_transport_need *need,
                               struct ovbd_transport_verdict **ret, struct ovbd_error *err)
{
	return ovbd_transport_kind_choose_again(kinds, need, NULL, "", ret, err);
}
