/* SPDX-License-Identifier: Apache-2.0 */
/* scale_tend.c - while scale waits with the fleet lock in its hand, no watch can clean
   the servers that come back: so it does that itself. */
#include "dshard/clock.h"
#include "scale_impl.h"

enum {
    PASS_MS = 1000,
    PACE_MS = 2000,
    LOOK_MS = 300,
    LIVELY_MS = 90000, /* after a change of the ring clients' next pushes double groups */
};

/* Whoever is back, and not let in yet. */
static bool is_any_held(const struct ds_state *state)
{
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];

        if (standing->intent != DS_INTENT_OUT && standing->health.state == DS_HEALTH_HELD)
            return true;
    }
    return false;
}

static bool is_ring_new(const struct ds_state *state)
{
    return state->n_history && ds_clock_wall_ms() - state->history[0].at_ms < LIVELY_MS;
}

/* While the ring turns, frontends that do not follow yet push to former owners: what is
   doubled by that is left to the moving after it. */
static bool wants_pass(const struct ds_scale *scale, const struct ds_state *state,
                       bool turns)
{
    if (scale->config->watch.groups == DS_GROUPS_OFF)
        return false;
    return is_any_held(state) ||
           (!turns && (scale->tended.n_copies || is_ring_new(state)));
}

/* A failure shows again, in what scale does next. */
static void run_pass(struct ds_scale *scale, const struct ds_state *state)
{
    DS_AUTO(ptr) void *list = NULL;
    struct ds_mover_options how = {.mode = DS_PLAN_DEDUPE,
                                   .patience_ms = scale->options.patience_ms,
                                   .timeout_ms = scale->options.timeout_ms,
                                   .budget_ms = PASS_MS,
                                   .stop = scale->hooks.stop,
                                   .stop_arg = scale->hooks.stop_arg};
    struct ds_error ignored = DS_ERROR_INIT;

    how.yields = list = ds_scale_yields(scale, &how.n_yields);
    ds_ignore(ds_mover_pass(scale->config, state, scale->lock, &how, &scale->tended,
                            &ignored) < 0);
    scale->n_merged += scale->tended.n_merged;
    scale->n_deleted += scale->tended.n_deleted;
}

void ds_scale_tend(struct ds_scale *scale, bool turns)
{
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error ignored = DS_ERROR_INIT; /* the next look tells */
    int64_t pause_ms = LOOK_MS;

    if (ds_clock_mono_ms() < scale->tend_due_ms)
        return;
    if (ds_state_load(&state, scale->config->state_file, &ignored) == 0 &&
        wants_pass(scale, &state, turns)) {
        run_pass(scale, &state);
        pause_ms = ds_mover_pause_ms(&scale->tended);
        pause_ms = pause_ms > PACE_MS ? pause_ms : PACE_MS;
    }
    scale->tend_due_ms = ds_clock_mono_ms() + pause_ms;
}

int ds_scale_pause(struct ds_scale *scale, int64_t ms, struct ds_error *err)
{
    int64_t until_ms = ds_clock_mono_ms() + ms, left_ms;

    for (;;) {
        if (ds_scale_may_go_on(scale, err) < 0)
            return -1;
        ds_scale_tend(scale, false);
        left_ms = until_ms - ds_clock_mono_ms();
        if (left_ms <= 0)
            return 0;
        ds_clock_sleep_ms(left_ms < LOOK_MS ? left_ms : LOOK_MS);
    }
}
