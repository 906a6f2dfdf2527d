/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_BENCH_NULL_SINK_H
#define OVBD_BENCH_NULL_SINK_H

#include "base/sink.h"

/* Forgets what it is given. */
struct ovbd_sink *bench_null_sink(void);

#endif
