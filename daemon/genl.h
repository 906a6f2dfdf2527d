/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generic netlink: a family of the kernel's, asked by its name; messages of attributes to it and
 * from it. Numbers are the host's, in its byte order.
 */
#ifndef OVBD_DAEMON_GENL_H
#define OVBD_DAEMON_GENL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENL_MESSAGE_SIZE 16384 /* of one that comes */

struct genl {
	int fd;
	uint16_t family;
	uint8_t in[GENL_MESSAGE_SIZE];
	size_t nin, at; /* messages in [at, nin) are yet to be read */
};

/* Part of a message that came; valid until the next is read. */
struct genl_attributes {
	const uint8_t *p;
	size_t n;
};

/* A message being put together: its attributes are the caller's to keep few. */
struct genl_message {
	uint8_t raw[2048];
	size_t n;
};

/* A message that came. */
struct genl_event {
	uint16_t type;   /* the family's number, or one of netlink's own */
	uint8_t command; /* of a family's message */
	struct genl_attributes attributes;
};

/* Opens a socket and asks for the family, and for the number of its multicast group where one is
 * wanted (NULL: none). -ENOENT: the kernel has no such family, its module is not loaded. */
int genl_open(struct genl *g, const char *family, const char *group, uint32_t *ret_group);
void genl_close(struct genl *g);

void genl_begin(struct genl_message *m, uint16_t family, uint8_t command, uint8_t version);
void genl_put(struct genl_message *m, uint16_t type, const void *value, size_t len);
/* What is put between the two is within an attribute of this type. */
size_t genl_nest(struct genl_message *m, uint16_t type);
void genl_nest_end(struct genl_message *m, size_t nest);

/* What the kernel says of it comes among the messages. Any thread. */
int genl_send(const struct genl *g, struct genl_message *m);

/* Sends, and waits for what the kernel says of it: 0 or -errno; of a message that came with that,
 * the attributes are in *ret (NULL: of no interest), and in m's memory. For a socket of no
 * group. */
int genl_ask(struct genl *g, struct genl_message *m, struct genl_attributes *ret);

/* The next message: 1, in *ret; 0: none now (only with MSG_DONTWAIT in flags). One thread at a
 * time. */
int genl_receive(struct genl *g, int flags, struct genl_event *ret);

/* The next attribute of *a: its type, and its value in *ret. 0: there is no other. */
unsigned genl_next(struct genl_attributes *a, struct genl_attributes *ret);
bool genl_find(struct genl_attributes a, unsigned type, struct genl_attributes *ret);
bool genl_find_number(struct genl_attributes a, unsigned type, void *ret, size_t size);
/* False also of a text that does not fit, or has a NUL within. */
bool genl_find_text(struct genl_attributes a, unsigned type, char *ret, size_t size);

#endif
