/* SPDX-License-Identifier: Apache-2.0 */
/* A sink for what closes its own: passes everything but close on to s, which stays the caller's. */
#ifndef OVBD_TESTS_LIB_KEPT_H
#define OVBD_TESTS_LIB_KEPT_H

#include "base/sink.h"

struct ovbd_sink *test_sink_kept(struct ovbd_sink *s);

#endif
