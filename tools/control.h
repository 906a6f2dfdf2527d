/* SPDX-License-Identifier: Apache-2.0 */
/* A client of ovbdd's control API (docs/api.md), for the verbs that talk to it. */
#ifndef OVBD_TOOLS_CONTROL_H
#define OVBD_TOOLS_CONTROL_H

#include "tools/cli.h"
#include "tools/json.h"

/* The socket that is meant: socket, or if it is NULL $OVBD_SOCKET, or the default. */
const char *ovbd_control_socket(const char *socket);

struct ovbd_control_request {
	const char *socket; /* as ovbd_control_socket() */
	const char *method; /* "GET", "POST" or "DELETE" */
	const char *path;
	const json_t *body;  /* may be NULL */
	unsigned timeout_ms; /* for the answer; 0: none, an attach takes what the image takes */
};

/* 0: *ret is the answer, to be released. -ENOENT, -ECONNREFUSED: nobody listens; -EACCES: may not;
 * -ETIMEDOUT: no answer; -EREMOTEIO: the daemon says in err what went wrong; others: err says
 * it. */
int ovbd_control_call(const struct ovbd_control_request *q, json_t **ret, struct ovbd_error *err);

/* Asks the daemon that listens on socket (NULL: the default). method: "GET", "POST" or "DELETE";
 * body may be NULL. 0: *ret is what it answered, to be released; else the failure has been told,
 * and *ret_status is the exit status. */
int ovbd_control_ask(struct ovbd_cli *c, const char *socket, const char *method, const char *path,
                     const json_t *body, json_t **ret, int *ret_status);

/* For a DELETE or a drain: "PATH?lazy=1" and so on. To be freed; NULL: out of memory. */
char *ovbd_control_path(const char *path, const char *id, bool lazy, bool force);

/* The string at key of an answer, safe to show; "-" if there is none. To be freed. */
char *ovbd_control_text(const json_t *object, const char *key);

/* The transports a device was not, and was, given by "auto", and why: "fuse: taken", each to be
 * freed, at i of an answer; NULL after the last. */
char *ovbd_control_considered(const json_t *device, size_t i);

/* The options of a verb that has no others, and at most noperands operands. 0, or -1: it shall
 * return c->status. */
struct ovbd_control_options {
	const char *socket;
	bool json;
};

int ovbd_control_parse(struct ovbd_cli *c, size_t noperands, struct ovbd_control_options *ret);

static inline void ovbd_control_releasep(json_t **v)
{
	json_decref(*v);
}

#define OVBD_OPTION_SOCKET (OVBD_OPTION_LONG + 101)
#define OVBD_OPTION_SOCKET_ENTRY                                                                   \
	{                                                                                          \
		OVBD_OPTION_SOCKET, "socket", "PATH",                                              \
			"Where ovbdd listens (default: $OVBD_SOCKET, or "                          \
			"/run/ovbd/ovbdd.sock)."                                                   \
	}

#endif
