/* SPDX-License-Identifier: Apache-2.0 */
/* tender_impl.h - what the tender says in the log: changes, not every pass. */
#ifndef DSHARD_TENDER_IMPL_H
#define DSHARD_TENDER_IMPL_H

#include "dshard/child.h"
#include "dshard/pacer.h"
#include "dshard/pass.h"
#include "dshard/state.h"

struct ds_tender_log {
    char **refused; /* what is refused, as far as it was said; owned */
    size_t n_refused;
    char *failure;   /* why passes fail, as it was said last; NULL: they do not; owned */
    char *unreached; /* who did not tell its groups, as it was said last; owned */
    char *remark;    /* what is wrong with groups that nothing can move; owned */
    unsigned n_unreached; /* passes in a row in which one did not tell them */
};

void ds_tender_log_release(struct ds_tender_log *log);
void ds_tender_log_restart(const char *address);
/* It is held for a pass that there cannot be now. */
void ds_tender_log_held_up(const char *address, const struct ds_child *child);
/* One that ended well, or with refusals. */
void ds_tender_log_pass(struct ds_tender_log *log, const struct ds_pass *pass,
                        const struct ds_state *state, int64_t took_ms);
/* One that ended with a complaint about groups, other than refusals; NULL: without. */
void ds_tender_log_remark(struct ds_tender_log *log, const struct ds_child *child);
/* One that told nothing: what its words were, or why its result is none. */
void ds_tender_log_end(struct ds_tender_log *log, enum ds_pass_end end,
                       const struct ds_child *child, const struct ds_error *err);
void ds_tender_log_failure(struct ds_tender_log *log, enum ds_pass_end end,
                           const char *why);

#endif
