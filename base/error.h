/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: a function returns 0 (or a count) or a negative errno. That value is the truth and is
 * passed up unchanged. Where a human will want to know more, the function also takes a
 * struct ovbd_error * (may be NULL) and writes one sentence into it: object, place, value.
 * The sentence is only meaningful after a negative return.
 *
 *   -EBADMSG    bytes contradict the format or a checksum
 *   -ENOTSUP    valid, but beyond us
 *   -EIO        medium or network, after retries
 *   -EAGAIN     the other side asked us to come back later, after retries
 *   -ETIMEDOUT  -EACCES  -ENOENT  -ENOSPC  -EEXIST: as the words say
 *   -ESTALE     the remote object changed
 *   -E2BIG      a declared limit
 *   -EINVAL     the caller broke a rule
 */
#ifndef OVBD_BASE_ERROR_H
#define OVBD_BASE_ERROR_H

#define OVBD_ERROR_SIZE 1024

struct ovbd_error {
	char msg[OVBD_ERROR_SIZE];
};

/* Writes the sentence (err may be NULL) and returns code, so that "return ovbd_fail(...)" reads. */
int ovbd_fail(struct ovbd_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As ovbd_fail(), with ": " and the text of the system's error -code at the end. */
int ovbd_fail_errno(struct ovbd_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " before the sentence already there, and returns code. */
int ovbd_fail_within(struct ovbd_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "name: " before the sentence, unless it is one of its parts already (a file says its own
 * name). Returns code. */
int ovbd_fail_named(struct ovbd_error *err, int code, const char *name);

#endif
