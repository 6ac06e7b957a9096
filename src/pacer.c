/* SPDX-License-Identifier: Apache-2.0 */
/* see pacer.h */
#include "dshard/pacer.h"

void ds_pacer_init(struct ds_pacer *pacer)
{
    *pacer = (struct ds_pacer){
        .due_ms = INT64_MAX,
        .lively_until_ms = INT64_MIN,
        .busy_until_ms = INT64_MIN,
    };
}

void ds_pacer_note(struct ds_pacer *pacer, enum ds_pacer_event event, int64_t now_ms)
{
    if (event == DS_PACER_RING || event == DS_PACER_BACK) {
        pacer->lively_until_ms = now_ms + DS_PACER_LIVELY_MS;
        pacer->settled_ms = now_ms + DS_PACER_SETTLED_MS;
    }
    if (pacer->runs)
        pacer->again = true;
    else if (now_ms < pacer->due_ms)
        pacer->due_ms = now_ms;
}

void ds_pacer_begin(struct ds_pacer *pacer)
{
    pacer->runs = true;
    pacer->again = false;
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* 2, 4, 8, 15, 15 s: who has the lock may need it for an hour. */
static int64_t busy_ms(unsigned n)
{
    int64_t ms = DS_PACER_BUSY_MS;

    for (unsigned i = 1; i < n && ms < DS_PACER_WAITS_MS; i++)
        ms *= 2;
    return ms < DS_PACER_WAITS_MS ? ms : DS_PACER_WAITS_MS;
}

static int64_t wait_ms(const struct ds_pacer *pacer, const struct ds_pacer_result *result,
                       int64_t now_ms)
{
    int64_t pause_ms = longer(result->pause_ms, DS_PACER_PAUSE_MS);
    bool waits = result->waits || result->end == DS_PASS_WAITS ||
                 (result->end == DS_PASS_DONE && !result->in_place);

    if (result->end == DS_PASS_BUSY)
        return result->holds_up ? DS_PACER_BUSY_MS : busy_ms(pacer->n_busy);
    if (result->end == DS_PASS_FAILED)
        return DS_PACER_FAILED_MS;
    if (result->end == DS_PASS_REFUSED)
        pause_ms = longer(pause_ms, DS_PACER_REFUSED_MS);
    if (now_ms < pacer->lively_until_ms || (waits && now_ms < pacer->busy_until_ms))
        return pause_ms;
    if (waits && result->due_in_ms < DS_PACER_WAITS_MS)
        return longer(pause_ms, result->due_in_ms);
    if (waits)
        return longer(pause_ms, DS_PACER_WAITS_MS);
    return longer(pause_ms,
                  result->end == DS_PASS_REFUSED ? DS_PACER_STUCK_MS : DS_PACER_IDLE_MS);
}

/* Nothing is out of place but what is refused, which another pass does not change. */
static bool is_at_rest(const struct ds_pacer_result *result)
{
    return result->in_place ||
           (result->end == DS_PASS_REFUSED && !result->waits && !result->did_something);
}

void ds_pacer_end(struct ds_pacer *pacer, const struct ds_pacer_result *result,
                  int64_t now_ms)
{
    bool saw_groups = result->end <= DS_PASS_REFUSED;

    pacer->runs = false;
    pacer->n_busy = result->end == DS_PASS_BUSY ? pacer->n_busy + 1 : 0;
    if (result->did_something)
        pacer->busy_until_ms = now_ms + DS_PACER_LIVELY_MS;
    if (is_at_rest(result) && now_ms >= pacer->settled_ms)
        pacer->lively_until_ms = now_ms;
    /* One that saw nothing is repeated soon, and will see what happened meanwhile. */
    pacer->due_ms =
        pacer->again && saw_groups ? now_ms : now_ms + wait_ms(pacer, result, now_ms);
    pacer->again = false;
}

int64_t ds_pacer_due_ms(const struct ds_pacer *pacer)
{
    return pacer->runs ? INT64_MAX : pacer->due_ms;
}
