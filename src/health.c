/* SPDX-License-Identifier: Apache-2.0 */
/* see health.h */
#include "dshard/health.h"
#include "dshard/utf8.h"

static const int64_t FLAP_WINDOW_MS = 10 * 60 * 1000;
static const int64_t HOLD_MAX_MS = 5 * 60 * 1000;

static const char *const names[DS_N_HEALTH_STATES] = {"new", "up", "down", "held"};

const char *ds_health_name(enum ds_health_state state)
{
    return names[state];
}

int ds_health_parse(const char *text, enum ds_health_state *out)
{
    for (size_t i = 0; i < DS_N_HEALTH_STATES; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum ds_health_state)i;
            return 0;
        }
    }
    return -1;
}

static void enter(struct ds_health *health, enum ds_health_state state, int64_t now_ms)
{
    health->state = state;
    health->since_ms = now_ms;
    health->run = health->fails = 0;
    health->hold_until_ms = 0;
    health->unclean = false;
}

/* Back, and not to be trusted yet. */
static void hold(const struct ds_health_config *config, struct ds_health *health,
                 int64_t hold_ms, int64_t now_ms)
{
    enter(health, DS_HEALTH_HELD, now_ms);
    health->hold_until_ms = now_ms + hold_ms;
    health->unclean = config->cleans;
}

static void add_flap(struct ds_health *health, int64_t now_ms)
{
    if (health->n_flaps == DS_FLAPS_MAX)
        health->n_flaps--;
    memmove(health->flaps + 1, health->flaps, health->n_flaps * sizeof health->flaps[0]);
    health->flaps[0] = now_ms;
    health->n_flaps++;
}

static int64_t hold_time_ms(const struct ds_health_config *config,
                            const struct ds_health *health, int64_t now_ms)
{
    int64_t hold_ms = config->rejoin_after_ms;
    size_t recent = 0;

    for (size_t i = 0; i < health->n_flaps; i++) {
        int64_t age_ms = now_ms - health->flaps[i];

        recent += age_ms >= 0 && age_ms <= FLAP_WINDOW_MS;
    }
    for (size_t i = 1; i < recent && hold_ms < HOLD_MAX_MS; i++)
        hold_ms *= 2;
    return hold_ms < HOLD_MAX_MS ? hold_ms : HOLD_MAX_MS;
}

static void succeed(const struct ds_health_config *config, struct ds_health *health,
                    int64_t now_ms)
{
    int64_t hold_ms;

    switch (health->state) {
    case DS_HEALTH_NEW:
        enter(health, DS_HEALTH_UP, now_ms);
        return;
    case DS_HEALTH_UP:
        health->fails = 0;
        return;
    case DS_HEALTH_DOWN:
        if (++health->run < config->rise)
            return;
        hold_ms = hold_time_ms(config, health, now_ms);
        if (hold_ms || config->cleans)
            hold(config, health, hold_ms, now_ms);
        else
            enter(health, DS_HEALTH_UP, now_ms);
        return;
    case DS_HEALTH_HELD:
        return;
    }
}

static void fail(const struct ds_health_config *config, struct ds_health *health,
                 bool final, int64_t now_ms)
{
    switch (health->state) {
    case DS_HEALTH_UP:
        if (++health->fails < config->fall && !final)
            return;
        add_flap(health, now_ms);
        break;
    case DS_HEALTH_DOWN:
        health->run = 0;
        return;
    case DS_HEALTH_NEW:
    case DS_HEALTH_HELD:
        break;
    }
    enter(health, DS_HEALTH_DOWN, now_ms);
}

bool ds_health_step(const struct ds_health_config *config, struct ds_health *health,
                    enum ds_sight sight, const char *why, int64_t now_ms)
{
    enum ds_health_state before = health->state;

    if (sight != DS_SIGHT_NONE)
        ds_utf8_clean(health->why, sizeof health->why, why ? why : "",
                      why ? strlen(why) : 0);
    if (sight == DS_SIGHT_OK ||
        (sight == DS_SIGHT_ALIVE && health->state <= DS_HEALTH_UP)) /* new or up */
        succeed(config, health, now_ms);
    else if (sight == DS_SIGHT_FAIL || sight == DS_SIGHT_FINAL)
        fail(config, health, sight == DS_SIGHT_FINAL, now_ms);
    /* A state that was written before the clock was put back. */
    if (health->hold_until_ms > now_ms + HOLD_MAX_MS)
        health->hold_until_ms = now_ms + HOLD_MAX_MS;
    health->unclean = health->unclean && config->cleans;
    if (now_ms >= ds_health_wake_at(health))
        enter(health, DS_HEALTH_UP, now_ms);
    return health->state != before;
}

void ds_health_promote(struct ds_health *health, int64_t now_ms)
{
    enter(health, DS_HEALTH_UP, now_ms);
}

int64_t ds_health_wake_at(const struct ds_health *health)
{
    if (health->state != DS_HEALTH_HELD)
        return INT64_MAX;
    return health->hold_until_ms + (health->unclean ? DS_CLEANING_MS : 0);
}
