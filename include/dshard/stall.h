/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stall.h - whether work that is done in passes has stopped getting anywhere: less is
 * open than ever before, or the time is up.
 *
 * What counts is the least that was ever open, not what the last pass did: who pushes to
 * the wrong server for ever makes each pass copy the same group again.  Pure.
 */
#ifndef DSHARD_STALL_H
#define DSHARD_STALL_H

#include "dshard/base.h"

/* All zero to begin with. */
struct ds_stall {
    uint64_t generation; /* of the ring: another one is new work */
    size_t n_least;
    int64_t since_ms; /* when n_least was reached; monotonic */
    bool began;
};

/* After each pass; true: for limit_ms nothing has become less. */
bool ds_stall_lasts(struct ds_stall *stall, uint64_t generation, size_t n_open,
                    int64_t limit_ms, int64_t now_ms);

#endif
