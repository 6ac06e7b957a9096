/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.h - waits until the ring in the state file has followed what a command has
 * written down.
 *
 * The watch does it, which may be one that another command runs for a moment; when there
 * is none, this does once what it would do.
 */
#ifndef DSHARD_SETTLE_H
#define DSHARD_SETTLE_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/state.h"

/* Whether this state is what was waited for. */
typedef bool ds_settled_fn(const void *arg, const struct ds_state *state);

/* 0: the ring has followed, or a watch's step has been done here.  DS_E_TEMP: it has not
   within timeout_ms, or could not. */
int ds_settle(struct ds_config *config, ds_settled_fn *is_settled, const void *arg,
              int64_t timeout_ms, struct ds_error *err) DS_NODISCARD;

/* A state file to go by: a watch keeps it, or it has just been brought up to date.  Says
   nothing of what was written: that was nothing; and why it failed is in the code. */
int ds_settle_now(struct ds_config *config, int64_t timeout_ms, struct ds_error *err)
    DS_NODISCARD;

#endif
