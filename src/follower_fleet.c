/* SPDX-License-Identifier: Apache-2.0 */
/* follower_fleet.c - takes in what the feed says: who there is, and how they are. */
#include "dshard/clock.h"
#include "dshard/follower.h"
#include "dshard/log.h"

#include <stdlib.h>

/* ---- evidence ---- */

static void log_health(const struct ds_standing *standing, const struct ds_health *before)
{
    const struct ds_health *health = &standing->health;
    const char *address = standing->server.address;
    const char *why = health->why[0] ? health->why : NULL;

    switch (health->state) {
    case DS_HEALTH_DOWN:
        ds_log(DS_LOG_WARN, "server down", "server", address, "why", why, NULL);
        return;
    case DS_HEALTH_HELD: {
        char until[DS_CLOCK_TEXT_MAX];

        ds_clock_format(health->hold_until_ms, until);
        ds_log(DS_LOG_INFO, "server back, held", "server", address, "until", until, NULL);
        return;
    }
    case DS_HEALTH_UP:
        if (before->unclean)
            ds_log(DS_LOG_WARN, "server rejoins, though old groups may be left on it",
                   "server", address, NULL);
        ds_log(why ? DS_LOG_WARN : DS_LOG_INFO,
               before->state == DS_HEALTH_NEW ? "server found up" : "server up", "server",
               address, "but", why, NULL);
        return;
    case DS_HEALTH_NEW:
        return;
    }
}

static int compare_address(const void *key, const void *item)
{
    return strcmp(key, ((const struct ds_sighting *)item)->address);
}

static const struct ds_sighting *find_sighting(const struct ds_fleet *fleet,
                                               const char *address)
{
    if (!fleet->n)
        return NULL;
    return bsearch(address, fleet->items, fleet->n, sizeof *fleet->items,
                   compare_address);
}

/* One step of one server; true when its state or the words about it changed. */
static bool step(struct ds_follower *follower, struct ds_standing *standing,
                 const struct ds_sighting *sighting, int64_t now_ms)
{
    const struct ds_health before = standing->health;
    bool news = sighting && sighting->seq > standing->seen;

    if (news) {
        standing->seen = sighting->seq;
        standing->checks++;
    }
    ds_health_step(&follower->health, &standing->health,
                   news ? sighting->sight : DS_SIGHT_NONE, news ? sighting->why : NULL,
                   now_ms);
    if (standing->health.state != before.state) {
        log_health(standing, &before);
        follower->operator_act = follower->operator_act || before.state == DS_HEALTH_NEW;
        return true;
    }
    if (strcmp(before.why, standing->health.why) == 0)
        return false;
    /* A misconfigured or overloaded server stays a member, but not in silence. */
    if (standing->health.state == DS_HEALTH_UP && standing->health.why[0] &&
        !standing->health.fails)
        ds_log(DS_LOG_WARN, "server up, but", "server", standing->server.address, "why",
               standing->health.why, NULL);
    return standing->health.state == DS_HEALTH_UP ? !standing->health.fails : true;
}

/* Who was held before there was somebody to clean them is to be cleaned, too.  A pass
   goes by the state on disk: when that cannot be written, there is none. */
static void set_cleaning(struct ds_follower *follower)
{
    const struct ds_state *state = &follower->keeper.state;
    bool cleans = follower->tended && ds_follower_decides(follower) &&
                  !follower->failure_logged &&
                  follower->config->watch.groups != DS_GROUPS_OFF;

    for (size_t i = 0; i < state->n_servers && cleans && !follower->health.cleans; i++) {
        struct ds_health *health = &state->servers[i].health;

        health->unclean = health->state == DS_HEALTH_HELD;
    }
    follower->health.cleans = cleans;
}

/* ---- a source that says who there is ---- */

/* A full state forgets one that is only remembered as taken out, for one that is there.
 */
static bool make_room(struct ds_follower *follower, const struct ds_sighting *sighting)
{
    struct ds_state *state = &follower->keeper.state;

    for (size_t i = 0; i < state->n_servers && sighting->listed; i++) {
        const struct ds_standing *standing = &state->servers[i];

        if (standing->intent == DS_INTENT_OUT && !standing->member) {
            ds_state_remove(state, standing->server.address);
            return true;
        }
    }
    return false;
}

/* What the source says of one server; true when that is new. */
static bool discover(struct ds_follower *follower, const struct ds_sighting *sighting)
{
    struct ds_state *state = &follower->keeper.state;
    struct ds_standing *standing = ds_state_find(state, sighting->address);
    bool changed = !standing;

    if (!standing && !sighting->listed && sighting->intent != DS_INTENT_OUT)
        return false;
    if (!standing && state->n_servers >= DS_SERVERS_MAX && !make_room(follower, sighting))
        return false;
    if (!standing)
        standing = ds_state_add(state, sighting->address, sighting->weight);
    if (standing->intent != sighting->intent) {
        if (standing->intent == DS_INTENT_OUT)
            standing->health = (struct ds_health){0};
        standing->intent = sighting->intent;
        changed = follower->operator_act = follower->urgent = true;
    }
    if (sighting->listed && standing->server.weight != sighting->weight) {
        standing->server.weight = sighting->weight;
        changed = true;
    }
    return changed;
}

/* Those that neither source nor configuration nor ring know any more. */
static bool forget_gone(struct ds_follower *follower, const struct ds_fleet *fleet)
{
    struct ds_state *state = &follower->keeper.state;
    bool changed = false;

    for (size_t i = state->n_servers; i-- > 0;) {
        const struct ds_standing *standing = &state->servers[i];
        const struct ds_sighting *sighting =
            find_sighting(fleet, standing->server.address);

        if (standing->member ||
            ds_config_lists(follower->config, standing->server.address) ||
            (sighting && (sighting->listed || sighting->intent == DS_INTENT_OUT)))
            continue;
        ds_log(DS_LOG_INFO, "server forgotten", "server", standing->server.address, NULL);
        ds_state_remove(state, standing->server.address);
        changed = true;
    }
    return changed;
}

static void log_source(struct ds_follower *follower, const struct ds_fleet *fleet)
{
    bool lost = !fleet->fresh && fleet->error[0];

    if (lost && !follower->source_lost)
        ds_log(DS_LOG_WARN, "Consul lost, the ring stays", "why", fleet->error, NULL);
    if (fleet->fresh && follower->source_lost)
        ds_log(DS_LOG_INFO, "Consul is back", NULL);
    follower->source_lost = !fleet->fresh && (lost || follower->source_lost);
    if (fleet->deserted && !follower->source_deserted)
        ds_log(DS_LOG_WARN,
               "Consul lists no server: it was wiped, or the token lacks node:read; the "
               "ring stays",
               NULL);
    follower->source_deserted = fleet->deserted;
}

static void take_discoveries(struct ds_follower *follower)
{
    const struct ds_fleet *fleet = follower->feed->ops->view(follower->feed);
    bool changed = false;

    if (!fleet->discovers)
        return;
    log_source(follower, fleet);
    if (!fleet->known)
        return;
    for (size_t i = 0; i < fleet->n; i++)
        changed = discover(follower, &fleet->items[i]) || changed;
    if (fleet->fresh)
        changed = forget_gone(follower, fleet) || changed;
    if (!changed)
        return;
    follower->dirty = true;
    ds_follower_track(follower);
}

static void log_shortage(struct ds_follower *follower, const struct ds_fleet *fleet)
{
    bool is_short = fleet->fds_wanted > 0;

    if (is_short && !follower->fds_short) {
        DS_AUTO(str) char *at_once = ds_xasprintf("%zu", fleet->at_once);
        DS_AUTO(str)
        char *remedy = ds_xasprintf("LimitNOFILE=%zu in the unit, or ulimit -n %zu",
                                    fleet->fds_wanted, fleet->fds_wanted);

        ds_log(DS_LOG_WARN,
               "too few file descriptors to check all servers at once; when many hang, "
               "others are checked later",
               "at_once", at_once, "remedy", remedy, NULL);
    }
    follower->fds_short = is_short;
}

static void log_agreement(struct ds_follower *follower)
{
    const char *why = ds_accord_error(follower->accord);

    if (*why && !follower->agreement_lost)
        ds_log(DS_LOG_WARN, "no agreement with other watches", "why", why, NULL);
    if (!*why && follower->agreement_lost)
        ds_log(DS_LOG_INFO, "agreement with other watches is back", NULL);
    follower->agreement_lost = *why != '\0';
}

/* Another role, or another ring. */
static void step_accord(struct ds_follower *follower)
{
    enum ds_accord_role before = ds_accord_role(follower->accord), role;
    const struct ds_fleet *fleet = follower->feed->ops->view(follower->feed);
    int64_t lost_since_ms = ds_accord_lost_since_ms(follower->accord);

    /* Who is shown nobody may lack the right to see them, and must not decide for others.
     */
    ds_accord_set_fit(follower->accord, fleet->known && fleet->fresh && fleet->lists_any);
    follower->feed->ops->doubt(follower->feed, lost_since_ms);
    log_agreement(follower);
    if (!ds_accord_tick(follower->accord, ds_clock_mono_ms()))
        return;
    follower->dirty = follower->urgent = true;
    role = ds_accord_role(follower->accord);
    if (role != before)
        ds_log(role == DS_ACCORD_ALONE ? DS_LOG_WARN : DS_LOG_INFO,
               "role among the watches", "was", ds_accord_role_name(before), "is",
               ds_accord_role_name(role), NULL);
}

void ds_follower_step(struct ds_follower *follower)
{
    struct ds_state *state = &follower->keeper.state;
    const struct ds_fleet *fleet;
    int64_t now_ms = ds_follower_now_ms(follower);

    follower->feed->ops->tick(follower->feed, ds_clock_mono_ms());
    take_discoveries(follower);
    set_cleaning(follower);
    fleet = follower->feed->ops->view(follower->feed);
    log_shortage(follower, fleet);
    for (size_t i = 0; i < state->n_servers; i++) {
        struct ds_standing *standing = &state->servers[i];

        if (standing->intent == DS_INTENT_OUT)
            continue;
        if (step(follower, standing, find_sighting(fleet, standing->server.address),
                 now_ms))
            follower->dirty = true;
    }
    if (now_ms >= follower->overlay_until_ms)
        follower->dirty = true;
    if (follower->accord)
        step_accord(follower);
}
