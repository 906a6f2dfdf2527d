/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the NBD transport share. A connection is a slot of a table that lives as long
 * as the transport, so that an event for a connection that has meanwhile ended finds a lock and a
 * generation that tell it so.
 *
 * Locks: a connection's, then the transport's; never two connections'.
 */
#ifndef OVBD_DAEMON_NBD_IMPL_H
#define OVBD_DAEMON_NBD_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/nbd.h"
#include "daemon/nbd_listen.h"
#include "daemon/nbd_request.h"
#include "daemon/nbd_tls.h"

enum {
	NBD_HANDSHAKE_MS = 10000, /* in all */
	NBD_STALL_MS = 30000,     /* without a byte, in a request or a reply that has begun */
};

struct nbd_buffer {
	uint8_t *mem;
	size_t size;
};

/* A reply that the client has not taken yet. */
struct nbd_pending {
	struct nbd_pending *next;
	size_t nsent, nhead, nbody;
	uint64_t charge;        /* given back when it is sent */
	struct nbd_buffer body; /* owned */
	uint8_t head[NBD_REPLY_MAX];
};

/* The request that is being read, or is worked on. */
struct nbd_job {
	struct nbd_request rq;
	struct nbd_buffer data; /* what a READ fills, a WRITE brings */
	uint64_t charge;
};

enum nbd_phase {
	NBD_PHASE_HEAD,   /* reading the head of a request */
	NBD_PHASE_MEMORY, /* it needs memory */
	NBD_PHASE_DATA,   /* reading what comes with it */
};

struct nbd_conn {
	pthread_mutex_t lock; /* guards all down to the line */
	uint32_t generation;
	int fd;            /* -1: a free slot */
	bool reading;      /* a worker reads requests from it */
	bool finished;     /* no more requests will come */
	bool broken;       /* no reply can be sent */
	bool starved;      /* the request read last waits for memory */
	uint32_t armed;    /* the events that are waited for */
	bool progressed;   /* bytes came or went since the deadline was set */
	bool partial;      /* of a request some bytes have come */
	unsigned nserved;  /* requests that workers have */
	unsigned npending; /* in the list */
	struct nbd_pending *pending, **pending_end;
	uint64_t charged;     /* bytes of memory for requests and replies */
	uint64_t deadline_ms; /* when it is given up; 0: never */
	/* ---- of the worker that reads */
	struct nbd_handshake *handshake; /* NULL: it is over; set with the lock held */
	struct nbd_session session;      /* constant then */
	struct nbd_tls *tls;             /* NULL: in the clear; constant then */
	bool tls_writes;                 /* its handshake waits for room to write */
	enum nbd_phase phase;
	uint8_t head[NBD_REQUEST_SIZE];
	size_t nhead, ndata, nskip; /* ndata: come into job.data; nskip: still to be thrown away */
	struct nbd_job job;
};

/* What a worker works on, between next() and complete(). */
struct nbd_worker {
	struct nbd_conn *conn;
	struct nbd_conn *last; /* whose request it had before */
	uint32_t last_generation;
	unsigned nmore, nskip; /* of nbd.c */
	struct nbd_job job;
	struct nbd_buffer spare; /* kept from one request to the next */
	struct iovec piece;
};

struct nbd_transport {
	struct ovbd_transport transport;
	struct ovbd_device *device;
	char *name;
	struct nbd_export export;
	const struct ovbd_nbd_tls *tls;
	int epoll_fd, stop_fd, timer_fd;
	atomic_bool stopped;

	pthread_mutex_t lock; /* guards all down to the line */
	struct nbd_listener listener;
	bool detached;
	bool accept_paused; /* no slot or descriptor is free */
	unsigned nconns;    /* slots in use */
	unsigned free_slots[OVBD_NBD_MAX_CONNS], nfree;
	unsigned ndeadlines;       /* connections with one; the timer ticks while there are any */
	uint64_t shared;           /* bytes of the common memory in use */
	_Atomic unsigned nstarved; /* connections that are; read also without the lock */
	/* ---- */
	struct nbd_conn conns[OVBD_NBD_MAX_CONNS];
	unsigned nworkers;
	struct nbd_worker workers[];
};

/* nbd_memory.c: memory for what is in flight. Call with c locked. */

/* Charges c with len bytes. False, and c starved: later. */
bool nbd_charge(struct nbd_transport *n, struct nbd_conn *c, uint64_t len);
void nbd_discharge(struct nbd_transport *n, struct nbd_conn *c, uint64_t len);
/* Lets the starved try again. Call with nothing locked, after nbd_discharge(). */
void nbd_feed_starved(struct nbd_transport *n);

/* A buffer of len bytes, from w if it has one; .mem is NULL if there is no memory. */
struct nbd_buffer nbd_buffer_take(struct nbd_worker *w, size_t len);
void nbd_buffer_release(struct nbd_worker *w, struct nbd_buffer *b);

/* nbd_conn.c */

/* The slot's new connection: its handshake begins, or is over already. */
void nbd_conn_start(struct nbd_transport *n, struct nbd_conn *c, int take_fd, bool shaken);
/* An event. 1: w has a job now. 0: nothing to do. */
int nbd_conn_event(struct nbd_transport *n, struct nbd_conn *c, uint32_t generation,
                   struct nbd_worker *w);
/* The same without an event: a request that may have come already. */
int nbd_conn_more(struct nbd_transport *n, struct nbd_conn *c, uint32_t generation,
                  struct nbd_worker *w);
/* w's job is done, job.rq.error says how: sends the reply, of nbody bytes from job.data. */
void nbd_conn_reply(struct nbd_transport *n, struct nbd_worker *w, size_t nbody);
/* Waits for what there is to wait for; or ends the connection, if all is done. c is locked. */
void nbd_conn_settle(struct nbd_transport *n, struct nbd_conn *c);
/* Gives it up: nothing more is read or sent. c is locked. */
void nbd_conn_break(struct nbd_conn *c);

/* Waits for events (EPOLL*), once. c is locked. */
void nbd_conn_arm(const struct nbd_transport *n, struct nbd_conn *c, uint32_t events);

/* nbd_accept.c */

void nbd_accept(struct nbd_transport *n);
/* A free slot, which is taken; NULL: there is none. n is locked. */
struct nbd_conn *nbd_slot_take(struct nbd_transport *n);
/* A second has passed. */
void nbd_tick(struct nbd_transport *n);
/* c's deadline, or none (0). c is locked. */
void nbd_set_deadline(struct nbd_transport *n, struct nbd_conn *c, uint64_t ms);
uint64_t nbd_now_ms(void);
/* The slot is free again. c is locked. */
void nbd_slot_release(struct nbd_transport *n, struct nbd_conn *c);

/* What events are for: slot and generation, or one of these. */
#define NBD_EVENT_STOP   UINT64_MAX
#define NBD_EVENT_LISTEN (UINT64_MAX - 1)
#define NBD_EVENT_TIMER  (UINT64_MAX - 2)

static inline uint64_t nbd_event_of(const struct nbd_transport *n, const struct nbd_conn *c)
{
	return (uint64_t)c->generation << 32 | (uint64_t)(c - n->conns);
}

#endif
