// SPDX-License-Identifier: Apache-2.0
/*
 * Reading while a merge overwrites the base. A read enters the phase that the merge is in, and the
 * merge goes on to the next one only by way of cow_live_go_on(), which waits for those who are in
 * the phase before: so nothing they read from changes under them. New readers never wait: they
 * enter the next phase, in which nothing is read any more that is about to be overwritten. For
 * a moment there are readers in both, and for each the bytes that its phase names are in place.
 */
#include "ota/cow_impl.h"

void cow_live_init(struct cow_live *l, const struct cow_phase *first)
{
	*l = (struct cow_live){.phases[0] = *first};
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->left, NULL);
}

void cow_live_destroy(struct cow_live *l)
{
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->left);
}

const struct cow_phase *cow_live_enter(struct cow_live *l)
{
	const struct cow_phase *ph;

	pthread_mutex_lock(&l->lock);
	l->nreaders[l->now]++;
	ph = &l->phases[l->now];
	pthread_mutex_unlock(&l->lock);
	return ph;
}

void cow_live_leave(struct cow_live *l, const struct cow_phase *ph)
{
	const unsigned phase = ph == &l->phases[1];

	pthread_mutex_lock(&l->lock);
	if (--l->nreaders[phase] == 0 && phase != l->now)
		pthread_cond_signal(&l->left);
	pthread_mutex_unlock(&l->lock);
}

void cow_live_go_on(struct cow_live *l, const struct cow_phase *next)
{
	unsigned before;

	pthread_mutex_lock(&l->lock);
	before = l->now;
	l->now = !before;
	l->phases[l->now] = *next;
	while (l->nreaders[before] > 0)
		pthread_cond_wait(&l->left, &l->lock);
	pthread_mutex_unlock(&l->lock);
}
