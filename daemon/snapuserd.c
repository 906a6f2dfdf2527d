// SPDX-License-Identifier: Apache-2.0
/*
 * A message is what one recv() gives, of 512 bytes at most, and so is its answer: the protocol has
 * no frames. Each client has a thread, since to start a device may take as long as to open it.
 */
#include "daemon/snapuserd_impl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/auto.h"

#define CLIENTS_MAX 64

struct client {
	struct ovbd_snapuserd *s;
	int fd;
};

/* Until there is something to read, or it is all over: false. */
static bool wait_for(const struct ovbd_snapuserd *s, int fd)
{
	struct pollfd p[] = {{.fd = s->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return false;
	return p[0].revents == 0;
}

static bool serve_message(struct client *c)
{
	char message[SNAPUSERD_MESSAGE_MAX + 2], answer[SNAPUSERD_MESSAGE_MAX] = "fail";
	const ssize_t n = recv(c->fd, message, sizeof(message) - 1, 0);
	bool go_on = false;

	if (n <= 0)
		return false;
	message[n] = '\0';
	if (n <= (ssize_t)SNAPUSERD_MESSAGE_MAX && strlen(message) == (size_t)n)
		go_on = snapuserd_answer(c->s, message, answer);
	if (answer[0] && send(c->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
		return false;
	return go_on;
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct ovbd_snapuserd *s = c->s;

	while (wait_for(s, c->fd) && serve_message(c))
		;
	close(c->fd);
	free(c);
	pthread_mutex_lock(&s->lock);
	s->nclients--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* A client that cannot be served is hung up on. */
static void begin_client(struct ovbd_snapuserd *s, int take_fd)
{
	struct client *c = calloc(1, sizeof(*c));
	pthread_attr_t detached;
	pthread_t thread;
	bool begun;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&s->lock);
	begun = c && s->nclients < CLIENTS_MAX;
	if (begun) {
		*c = (struct client){.s = s, .fd = take_fd};
		begun = pthread_create(&thread, &detached, client_main, c) == 0;
	}
	s->nclients += begun;
	pthread_mutex_unlock(&s->lock);
	pthread_attr_destroy(&detached);
	if (!begun) {
		close(take_fd);
		free(c);
	}
}

static void *accept_main(void *arg)
{
	struct ovbd_snapuserd *s = arg;

	while (wait_for(s, s->p.take_fd)) {
		const int fd = accept4(s->p.take_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			begin_client(s, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			poll(NULL, 0, 100); /* nobody is served better by trying at once */
	}
	return NULL;
}

static void snapuserd_free(struct ovbd_snapuserd *s)
{
	while (s->pending) {
		struct snapuserd_pending *p = s->pending;

		s->pending = p->next;
		snapuserd_pending_free(p);
	}
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	close(s->p.take_fd);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int ovbd_snapuserd_start(const struct ovbd_snapuserd_params *p, struct ovbd_snapuserd **ret,
                         struct ovbd_error *err)
{
	struct ovbd_snapuserd *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s) {
		close(p->take_fd);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	s->p = *p;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		r = ovbd_fail_errno(err, -errno, "eventfd");
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, accept_main, s);
	if (r < 0) {
		snapuserd_free(s);
		return ovbd_fail_errno(err, r, "the socket of snapuserd");
	}
	*ret = s;
	return 0;
}

void ovbd_snapuserd_stop(struct ovbd_snapuserd *take_s)
{
	struct ovbd_snapuserd *s = take_s;
	const uint64_t one = 1;

	if (!s)
		return;
	if (write(s->wake_fd, &one, sizeof(one)) < 0)
		return; /* cannot be: the counter is 0 */
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	while (s->nclients > 0)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	snapuserd_free(s);
}
