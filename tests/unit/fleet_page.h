/* SPDX-License-Identifier: Apache-2.0 */
/* fleet_page.h - fleets to draw, of any number of servers, well or hostile. */
#ifndef DSHARD_TEST_FLEET_PAGE_H
#define DSHARD_TEST_FLEET_PAGE_H

#include "dshard/page.h"
#include "dshard/svg.h"

#include <stdio.h>
#include <stdlib.h>

static const int64_t NOW = 1764000000000, MINUTE = 60000;

enum { OUT_MAX = 4 * 1024 * 1024 };

struct fleet {
    struct ds_state state;
    struct ds_ring *ring;
};

static inline void fleet_release(struct fleet *fleet)
{
    ds_ring_free(fleet->ring);
    ds_state_release(&fleet->state);
}

static inline void ds_auto_fleet(struct fleet *fleet)
{
    fleet_release(fleet);
}

/* n members, all up for an hour, with a whole history behind them. */
static inline void fleet_init(struct fleet *fleet, size_t n)
{
    struct ds_state *state = &fleet->state;
    struct ds_server *members = ds_xcalloc(n + 1, sizeof *members);
    struct ds_error err = DS_ERROR_INIT;

    ds_state_init(state);
    state->checked_at_ms = NOW - 1000;
    for (size_t i = 0; i < n; i++) {
        struct ds_standing *standing;

        snprintf(members[i].address, sizeof members[i].address, "10.%zu.%zu.%zu:9091",
                 i / 100, i / 10 % 10, i % 10);
        members[i].weight = 1;
        standing = ds_state_add(state, members[i].address, 1);
        standing->health.state = DS_HEALTH_UP;
        standing->health.since_ms = NOW - 60 * MINUTE;
    }
    for (size_t i = 0; n && i < DS_HISTORY_MAX; i++) /* one more in each */
        assert_ok(ds_state_set_ring(state, members, i + 1 < n ? i + 1 : n,
                                    DS_REPLICAS_DEFAULT, DS_CAUSE_HEALTH, NOW - MINUTE,
                                    &err),
                  &err);
    assert_ok(ds_state_set_ring(state, members, n, DS_REPLICAS_DEFAULT, DS_CAUSE_OPERATOR,
                                NOW - MINUTE, &err),
              &err);
    fleet->ring = ds_state_ring(state);
    free(members);
}

/* Who is where it is without being well: by a hand that sets what no program would. */
static inline struct ds_standing *fleet_set(struct fleet *fleet, size_t i,
                                            enum ds_health_state health, const char *why)
{
    struct ds_standing *standing = &fleet->state.servers[i];

    standing->health.state = health;
    snprintf(standing->health.why, DS_WHY_MAX, "%s", why);
    return standing;
}

static inline size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = strstr(text, part); at; at = strstr(at + strlen(part), part))
        n++;
    return n;
}

static inline void assert_has(const struct ds_buf *text, const char *part)
{
    if (!strstr(text->data, part))
        fail_msg("there is no %s in %s", part, text->data);
}

static inline void assert_lacks(const struct ds_buf *text, const char *part)
{
    if (strstr(text->data, part))
        fail_msg("there is %s in %s", part, text->data);
}

#endif
