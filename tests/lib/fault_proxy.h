/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of tests/lib/fault_proxy.c share. */
#ifndef OVBD_TESTS_LIB_FAULT_PROXY_H
#define OVBD_TESTS_LIB_FAULT_PROXY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define NEVER UINT64_MAX

enum kind { OK, REFUSE, CLOSE, RESET, END, HALF, STALL, TRICKLE, LATENCY, EXTRA, FLIP, NKINDS };
enum place { ANSWER, HEAD, BODY, AFTER };
enum order { GO_ON, CUT, FREEZE };

struct fault {
	enum kind kind;
	unsigned long arg;
	enum place place;
	uint64_t at;
	uint64_t times;
};

struct conn {
	struct conn *next;
	int client, server;
	int wake; /* an eventfd: there is an order */
	enum order order;
};

struct proxy {
	unsigned target;
	pthread_mutex_t lock; /* guards what follows, and the orders */
	struct fault fault;
	struct conn *conns;
	unsigned long nconns, nopen, nanswers, nspoiled;
};

extern struct proxy proxy;

/* A thread for a connection from a client. */
void proxy_serve(int take_client);

#endif
