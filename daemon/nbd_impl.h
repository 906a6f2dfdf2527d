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
	NBD_IN_SIZE = 1024,       /* bytes that are received ahead of a request */
	NBD_SPARES = 16,
	NBD_SLOW_AT_FIRST = 16, /* requests of a connection */
};

struct nbd_buffer {
	uint8_t *mem;
	size_t size;
};

/* A reply that is not sent yet, or not all of it. */
struct nbd_pending {
	struct nbd_pending *next;
	size_t nsent, nhead, nbody;
	uint64_t charge;        /* given back when it is sent */
	const uint8_t *data;    /* nbody bytes, of this body or of a later one's */
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
	int fd;                    /* -1: a free slot */
	bool reading;              /* a worker reads requests from it */
	struct nbd_worker *keeper; /* reads the next one when it is done with this; or NULL */
	bool keeper_seen;          /* at this request, by the last tick */
	unsigned slow;             /* requests to come that no worker keeps it for */
	bool finished;             /* no more requests will come */
	bool broken;               /* no reply can be sent */
	bool starved;              /* the request read last waits for memory */
	uint32_t armed;            /* the events that are waited for */
	bool progressed;           /* bytes came or went since the deadline was set */
	bool partial;              /* of a request some bytes have come */
	unsigned nserved;          /* requests that workers have */
	unsigned npending;         /* in the list */
	struct nbd_pending *pending, **pending_end;
	uint64_t charged;     /* bytes of memory for requests and replies */
	uint64_t deadline_ms; /* when it is given up; 0: never */
	/* ---- of the worker that reads */
	struct nbd_handshake *handshake; /* NULL: it is over; set with the lock held */
	struct nbd_session session;      /* constant then */
	struct nbd_tls *tls;             /* NULL: in the clear; constant then */
	bool tls_writes;                 /* its handshake waits for room to write */
	enum nbd_phase phase;
	uint8_t *in;         /* NBD_IN_SIZE bytes, of which those from in_at up to nin */
	size_t in_at, nin;   /* have come; others look only while nobody reads */
	uint64_t nreceived;  /* bytes in all */
	size_t ndata, nskip; /* ndata: come into job.data; nskip: still to be thrown away */
	struct nbd_job job;
};

/* What a worker works on, between next() and complete(). */
struct nbd_worker {
	struct nbd_conn *conn;
	struct nbd_job job;
	struct iovec piece;
	struct nbd_chunk chunks[NBD_CHUNKS_MAX]; /* of a READ */
	unsigned nchunks;                        /* 0: its reply is simple */
	/* ---- of nbd_keep.c */
	_Atomic(struct nbd_conn *) kept; /* if its keeper is this worker */
	unsigned nkept;                  /* requests without a break */
	uint64_t began_ns;
};

struct nbd_transport {
	struct ovbd_transport transport;
	struct ovbd_device *device;
	char *name;
	struct nbd_export export;
	const struct ovbd_nbd_tls *tls;
	int epoll_fd, stop_fd, timer_fd, tick_fd;
	atomic_bool stopped;
	_Atomic unsigned nwaiting;        /* workers, for an event */
	atomic_bool ticking, kept_lately; /* of nbd_keep.c */

	pthread_mutex_t lock; /* guards all down to the line */
	struct nbd_listener listener;
	bool detached;
	bool accept_paused; /* no slot or descriptor is free */
	unsigned nconns;    /* slots in use */
	unsigned free_slots[OVBD_NBD_MAX_CONNS], nfree;
	unsigned ndeadlines; /* connections with one; the timer ticks while there are any */
	uint64_t shared;     /* bytes of the common memory in use */
	struct nbd_buffer spares[NBD_SPARES]; /* for the requests to come */
	_Atomic size_t spare_size;            /* of all; read also without the lock */
	_Atomic unsigned nstarved;            /* connections that are; read also without the lock */
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

/* A buffer of len bytes; .mem is NULL if there is no memory. */
struct nbd_buffer nbd_buffer_take(struct nbd_transport *n, size_t len);
void nbd_buffer_release(struct nbd_transport *n, struct nbd_buffer *b);
/* Gives back the memory of those that are not in use. */
void nbd_buffers_free(struct nbd_transport *n);

/* nbd_receive.c: call by the worker that reads from c, with nothing locked. */

/* 0: c->job is a request with all that belongs to it. -EAGAIN: not yet. Any other: there will be no
 * more. */
int nbd_receive_request(struct nbd_transport *n, struct nbd_conn *c);
/* All of len bytes of a handshake, *done of which have come before, and no byte more. 0, -EAGAIN,
 * or -errno: the client has gone. */
int nbd_receive_exactly(struct nbd_conn *c, uint8_t *to, size_t len, size_t *done);
/* Whether the head of a request has come that nobody has looked at. c is locked, or the worker that
 * reads asks. */
bool nbd_has_head(const struct nbd_conn *c);

/* nbd_send.c: call with c locked. */

/* Puts *p, whose body is taken, behind what is to be sent. Breaks c if it cannot. */
void nbd_send_later(struct nbd_transport *n, struct nbd_conn *c, struct nbd_pending *p);
/* Sends as much as the client takes now. */
void nbd_send_pending(struct nbd_transport *n, struct nbd_conn *c);
/* Forgets what is to be sent. */
void nbd_drop_pending(struct nbd_transport *n, struct nbd_conn *c);

/* nbd_keep.c */

/* w, which has got a request of c, keeps c to itself, if that is good. c is locked. */
void nbd_keep_begin(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w);
/* w's request is done. True: c is still kept. c is locked. */
bool nbd_keep_done(struct nbd_conn *c, struct nbd_worker *w);
/* The next request of the connection that w keeps. 1: w has a job; 0: it keeps none any more. */
int nbd_keep_next(struct nbd_transport *n, struct nbd_worker *w);
void nbd_keep_tick(struct nbd_transport *n);

/* nbd_conn.c */

/* The slot's new connection: its handshake begins, or is over already. */
void nbd_conn_start(struct nbd_transport *n, struct nbd_conn *c, int take_fd, bool shaken);
/* An event. 1: w has a job now. 0: nothing to do. */
int nbd_conn_event(struct nbd_transport *n, struct nbd_conn *c, uint32_t generation,
                   struct nbd_worker *w);
/* Reads what has come, if w may, with the same answer. c is locked, and unlocked then. */
int nbd_conn_take(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w);
/* w's job is done, job.rq.error says how: sends the reply, of nbody bytes from job.data; or, if it
 * has been done, w's chunks. */
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
#define NBD_EVENT_TICK   (UINT64_MAX - 3)

static inline uint64_t nbd_event_of(const struct nbd_transport *n, const struct nbd_conn *c)
{
	return (uint64_t)c->generation << 32 | (uint64_t)(c - n->conns);
}

#endif
