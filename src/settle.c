/* SPDX-License-Identifier: Apache-2.0 */
/* see settle.h */
#include "dshard/settle.h"
#include "dshard/clock.h"
#include "dshard/keeper.h"
#include "dshard/watch.h"

enum { POLL_MS = 30 };

/* DS_E_TEMP: not in time, and the text says why; others: no watch's step can be done. */
static int follow(struct ds_config *config, ds_settled_fn *is_settled, const void *arg,
                  int64_t timeout_ms, struct ds_error *err)
{
    struct ds_watch_options options = {0};
    int64_t deadline = ds_clock_mono_ms() + timeout_ms;

    for (;;) {
        DS_AUTO(state) struct ds_state state = {0};
        struct ds_error ignored = DS_ERROR_INIT; /* then it is not settled yet */

        if (ds_watch_once(config, &options, err) == 0)
            return 0;
        if (err->code != DS_E_TEMP)
            return -1;
        if (ds_state_load(&state, config->state_file, &ignored) == 0 &&
            is_settled(arg, &state))
            return 0;
        if (ds_clock_mono_ms() >= deadline)
            return -1;
        ds_clock_sleep_ms(POLL_MS);
    }
}

int ds_settle(struct ds_config *config, ds_settled_fn *is_settled, const void *arg,
              int64_t timeout_ms, struct ds_error *err)
{
    if (follow(config, is_settled, arg, timeout_ms, err) == 0)
        return 0;
    if (err->code == DS_E_TEMP && ds_keeper_is_claimed(config->state_file))
        return ds_fail(err, DS_E_TEMP,
                       "it is written, but the watch has not taken it up yet");
    err->code = DS_E_TEMP;
    return ds_wrap(err, "it is written, but the ring has not followed");
}

static bool is_kept(const void *path, const struct ds_state *state)
{
    (void)state; /* which could be loaded */
    return ds_keeper_is_claimed(path);
}

int ds_settle_now(struct ds_config *config, int64_t timeout_ms, struct ds_error *err)
{
    return follow(config, is_kept, config->state_file, timeout_ms, err);
}
