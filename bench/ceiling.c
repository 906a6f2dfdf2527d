// SPDX-License-Identifier: Apache-2.0
/*
 * Our servers against the least server of the same transport, as bench/ceiling starts them: reads
 * of a file that both serve from the page cache. One client for both: preads past the page cache of
 * a FUSE file, requests and simple replies on one NBD connection. The clock is the wall's, as work
 * is done in two processes; what a server's process itself used is told below.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "bench/bench.h"
#include "bench/bench_main.h"

#define DEPTH_MAX 16
#define PIECE_MAX (1u << 20)
#define ROUNDS    31

struct target {
	const char *path;
	pid_t server;
	int fd;
	bool nbd;
	uint64_t size;
	uint8_t *bufs[DEPTH_MAX];
};

/* What is read in one call. */
struct load {
	const char *name, *unit;
	uint32_t piece; /* bytes of a read */
	unsigned depth; /* reads in flight */
	unsigned count; /* reads */
	bool random;
	double work;
};

struct pair {
	struct target *ours, *theirs;
	const struct load *load;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void get(int fd, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len > 0) {
		const ssize_t n = recv(fd, p, len, 0);

		if (n <= 0)
			die("receiving");
		p += n;
		len -= (size_t)n;
	}
}

static void put(int fd, const void *buf, size_t len)
{
	if (send(fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("sending");
}

/* Where the read of this number is. */
static uint64_t place_of(const struct target *t, const struct load *l, uint64_t number)
{
	const uint64_t n = t->size / l->piece;

	return (l->random ? (number * UINT64_C(0x9e3779b97f4a7c15) >> 20) % n : number % n) *
	       l->piece;
}

/* --- a FUSE file --- */

struct reader {
	const struct target *t;
	const struct load *l;
	unsigned number;
	pthread_t thread;
};

static void *read_file(void *arg)
{
	const struct reader *r = arg;

	for (unsigned i = r->number; i < r->l->count; i += r->l->depth)
		if (pread(r->t->fd, r->t->bufs[r->number], r->l->piece,
		          (off_t)place_of(r->t, r->l, i)) != (ssize_t)r->l->piece)
			die(r->t->path);
	return NULL;
}

static void read_files(const struct target *t, const struct load *l)
{
	struct reader readers[DEPTH_MAX];

	for (unsigned i = 0; i < l->depth; i++) {
		readers[i] = (struct reader){.t = t, .l = l, .number = i};
		if (i > 0 && pthread_create(&readers[i].thread, NULL, read_file, &readers[i]) != 0)
			die("a thread");
	}
	read_file(&readers[0]);
	for (unsigned i = 1; i < l->depth; i++)
		pthread_join(readers[i].thread, NULL);
}

/* --- NBD --- */

static void ask(const struct target *t, const struct load *l, uint64_t number)
{
	uint8_t head[28] = {0x25, 0x60, 0x95, 0x13};

	ovbd_put_be64(head + 8, number);
	ovbd_put_be64(head + 16, place_of(t, l, number));
	ovbd_put_be32(head + 24, l->piece);
	put(t->fd, head, sizeof(head));
}

/* The head and the data of an answer in one call, as far as they have come. */
static void read_nbd(const struct target *t, const struct load *l)
{
	unsigned asked = 0;

	while (asked < l->depth)
		ask(t, l, asked++);
	for (unsigned i = 0; i < l->count; i++) {
		uint8_t head[16];
		struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof(head)},
		                       {.iov_base = t->bufs[0], .iov_len = l->piece}};
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
		const ssize_t n = recvmsg(t->fd, &m, 0);

		if (n < (ssize_t)sizeof(head) || ovbd_get_be32(head) != 0x67446698 ||
		    ovbd_get_be32(head + 4) != 0)
			die("an answer");
		get(t->fd, t->bufs[0] + (n - 16), l->piece - (size_t)(n - 16));
		if (asked < l->count)
			ask(t, l, asked++);
	}
}

static int connect_nbd(const char *path, uint64_t *ret_size)
{
	static const uint8_t choose[20] = {0,   0,   0, 3, 'I', 'H', 'A', 'V', 'E', 'O',
	                                   'P', 'T', 0, 0, 0,   1,   0,   0,   0,   0};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint8_t in[18];

	memcpy(a.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(path);
	get(fd, in, sizeof(in));
	put(fd, choose, sizeof(choose));
	get(fd, in, 10);
	*ret_size = ovbd_get_be64(in);
	return fd;
}

/* --- both --- */

static void read_load(const struct target *t, const struct load *l)
{
	if (t->nbd)
		read_nbd(t, l);
	else
		read_files(t, l);
}

static void run_ours(void *arg)
{
	const struct pair *p = arg;

	read_load(p->ours, p->load);
}

static void run_theirs(void *arg)
{
	const struct pair *p = arg;

	read_load(p->theirs, p->load);
}

/* "nbd|fuse PATH PID" */
static void open_target(struct target *t, char **words)
{
	*t = (struct target){
		.nbd = strcmp(words[0], "nbd") == 0,
		.path = words[1],
		.server = (pid_t)atoi(words[2]),
	};
	if (t->nbd) {
		t->fd = connect_nbd(t->path, &t->size);
	} else {
		t->fd = open(t->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
		if (t->fd < 0)
			die(t->path);
		t->size = (uint64_t)lseek(t->fd, 0, SEEK_END);
	}
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		t->bufs[i] = aligned_alloc(4096, PIECE_MAX);
}

static double cpu_of(pid_t pid)
{
	struct timespec ts = {0};
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) == 0)
		clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec * 1e-3;
}

/* Microseconds of the server's own processor time a read, alternating; the medians are printed. */
static double cost(const struct target *t, const struct load *l)
{
	const double before = cpu_of(t->server);

	read_load(t, l);
	return (cpu_of(t->server) - before) / l->count;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void tell_cost(const struct pair *p)
{
	double ours[ROUNDS], theirs[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		ours[i] = cost(p->ours, p->load);
		theirs[i] = cost(p->theirs, p->load);
	}
	qsort(ours, ROUNDS, sizeof(double), by_value);
	qsort(theirs, ROUNDS, sizeof(double), by_value);
	printf("    the server's processor time a read: %.2f us, the limit's %.2f us\n",
	       ours[ROUNDS / 2], theirs[ROUNDS / 2]);
}

static const struct load loads[] = {
	{"random 4 KiB, 1 in flight", "k/s", 4096, 1, 4000, true, 4},
	{"random 4 KiB, 16 in flight", "k/s", 4096, 16, 8000, true, 8},
	{"sequential 64 KiB, 1 in flight", "MiB/s", 65536, 1, 1024, false, 64},
	{"sequential 1 MiB, 1 in flight", "MiB/s", 1 << 20, 1, 128, false, 128},
	{"sequential 1 MiB, 4 in flight", "MiB/s", 1 << 20, 4, 128, false, 128},
};

static char **words;
static int nwords;

void bench_groups(struct bench *b)
{
	for (int i = 0; i + 5 < nwords; i += 6) {
		struct target ours, theirs;

		open_target(&ours, words + i);
		open_target(&theirs, words + i + 3);
		for (size_t k = 0; k < sizeof(loads) / sizeof(loads[0]); k++) {
			struct pair p = {.ours = &ours, .theirs = &theirs, .load = &loads[k]};
			const struct bench_row row = {
				.group = words[i],
				.name = loads[k].name,
				.limit = ours.nbd ? "nbdkit's file plugin" : "libfuse, pread",
				.unit = loads[k].unit,
				.work = loads[k].work,
				.target = 0.9,
				.rounds = ROUNDS,
				.wall = true,
				.ours = run_ours,
				.theirs = run_theirs,
				.arg = &p,
			};

			bench_run(b, &row);
			tell_cost(&p);
		}
	}
}

/* ovbd-bench-ceiling {nbd|fuse OURS PID nbd|fuse THEIRS PID}... */
int main(int argc, char **argv)
{
	struct bench_options options = {0};
	const char *json = getenv("BENCH_JSON");

	if (json && !(options.json = fopen(json, "w")))
		die(json);
	words = argv + 1;
	nwords = argc - 1;
	bench_all(&options);
	return options.json && fclose(options.json) != 0;
}
