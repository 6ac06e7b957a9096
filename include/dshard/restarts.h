/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restarts.h - notices servers that have started anew between two health checks: one that
 * died and came back at once is up all the time, and may have old groups again.
 *
 * Asks every server that is up or held (joining ones are scale's to look at) for
 * /api/v1/status every few seconds; another start_time than before is a restart.  Only a
 * few are asked at once, in turn: health checks need the descriptors.
 */
#ifndef DSHARD_RESTARTS_H
#define DSHARD_RESTARTS_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/http.h"
#include "dshard/state.h"

enum {
    DS_RESTARTS_INTERVAL_MS =
        5000,                /* longer when the servers answer too slowly for that */
    DS_RESTARTS_AT_ONCE = 8, /* slots.h knows */
};

struct ds_restarts;

/* DS_E_CONFIG when the password's file cannot be read. */
struct ds_restarts *ds_restarts_new(const struct ds_config *config,
                                    struct ds_http_loop *loop, struct ds_error *err)
    DS_NODISCARD;
void ds_restarts_free(struct ds_restarts *restarts);

/* Takes over which servers there are, and asks those whose turn it is. */
void ds_restarts_tick(struct ds_restarts *restarts, const struct ds_state *state,
                      int64_t now_ms);
/* One that has started anew since it was told here; NULL: none.  Borrowed until the next
   tick. */
const char *ds_restarts_take(struct ds_restarts *restarts);
/* When tick is wanted next, monotonic. */
int64_t ds_restarts_next_ms(const struct ds_restarts *restarts);

#endif
