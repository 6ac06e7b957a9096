/* SPDX-License-Identifier: Apache-2.0 */
/* see roster.h */
#include "dshard/roster.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const intent_names[DS_N_INTENTS] = {"in", "joining", "draining",
                                                       "out"};

const char *ds_intent_name(enum ds_intent intent)
{
    return intent_names[intent];
}

int ds_intent_parse(const char *text, enum ds_intent *out)
{
    for (size_t i = 0; i < DS_N_INTENTS; i++) {
        if (strcmp(text, intent_names[i]) == 0) {
            *out = (enum ds_intent)i;
            return 0;
        }
    }
    return -1;
}

int ds_standing_compare(const void *a, const void *b)
{
    const struct ds_standing *x = a, *y = b;

    return strcmp(x->server.address, y->server.address);
}

/* ---- the memory ---- */

static void copy_servers(struct ds_server **to, size_t *n_to,
                         const struct ds_server *from, size_t n)
{
    struct ds_server *copy = n ? ds_xcalloc(n, sizeof *copy) : NULL;

    if (n)
        memcpy(copy, from, n * sizeof *copy);
    free(*to);
    *to = copy;
    *n_to = n;
}

void ds_roster_init(struct ds_roster *roster, const struct ds_server *ring, size_t n,
                    bool frozen, int64_t now_ms)
{
    *roster = (struct ds_roster){.started = n > 0, .frozen = frozen && n > 0};
    copy_servers(&roster->ring, &roster->n_ring, ring, n);
    roster->ring_since_ms = now_ms;
    /* It was good enough to be kept on disk, however long ago that was. */
    copy_servers(&roster->stable, &roster->n_stable, ring, n);
    roster->stable_is_proven = n > 0;
}

void ds_roster_release(struct ds_roster *roster)
{
    free(roster->ring);
    free(roster->stable);
    *roster = (struct ds_roster){0};
}

static bool same_servers(const struct ds_server *a, size_t n_a, const struct ds_server *b,
                         size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++) {
        if (strcmp(a[i].address, b[i].address) != 0 || a[i].weight != b[i].weight)
            return false;
    }
    return true;
}

/* Keeps the ring as the one to freeze on if it has lasted, or if there is no better. */
static void keep_if_stable(struct ds_roster *roster, int64_t now_ms)
{
    bool lasted = now_ms - roster->ring_since_ms >= DS_ROSTER_STABLE_MS;
    bool better = !roster->stable_is_proven && roster->n_ring >= roster->n_stable;

    if (roster->frozen || !roster->n_ring || (!lasted && !better))
        return;
    copy_servers(&roster->stable, &roster->n_stable, roster->ring, roster->n_ring);
    roster->stable_is_proven = lasted;
}

static void remember(struct ds_roster *roster, const struct ds_decision *decision,
                     int64_t now_ms)
{
    keep_if_stable(roster, now_ms);
    roster->started = true;
    if (roster->frozen && !decision->frozen)
        roster->thaw_until_ms = now_ms + DS_ROSTER_THAW_MS;
    if (roster->frozen != decision->frozen ||
        !same_servers(roster->ring, roster->n_ring, decision->members, decision->n)) {
        copy_servers(&roster->ring, &roster->n_ring, decision->members, decision->n);
        roster->ring_since_ms = now_ms;
    }
    roster->frozen = decision->frozen;
    keep_if_stable(roster, now_ms);
}

/* ---- the decision ---- */

static bool has_verdict(const struct ds_standing *servers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (servers[i].intent == DS_INTENT_IN && servers[i].health.state == DS_HEALTH_NEW)
            return false;
    }
    return true;
}

static bool is_wanted(const struct ds_standing *standing)
{
    if (standing->intent != DS_INTENT_IN)
        return false;
    if (standing->health.state == DS_HEALTH_NEW)
        return standing->member;
    return standing->health.state == DS_HEALTH_UP;
}

/* Not up yet, but it answered the last time it was asked. */
static bool answers(const struct ds_standing *standing)
{
    if (standing->intent != DS_INTENT_IN)
        return false;
    return standing->health.state == DS_HEALTH_HELD ||
           (standing->health.state == DS_HEALTH_DOWN && standing->health.run > 0);
}

static size_t count(const struct ds_standing *servers, size_t n,
                    bool (*predicate)(const struct ds_standing *))
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += predicate(&servers[i]);
    return found;
}

static bool is_in(const struct ds_standing *standing)
{
    return standing->intent == DS_INTENT_IN;
}

static bool is_listed(const struct ds_server *ring, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(ring[i].address, address) == 0)
            return true;
    }
    return false;
}

static void freeze(const struct ds_roster *roster, size_t n_up, size_t n_in,
                   size_t min_healthy, struct ds_decision *out)
{
    out->frozen = true;
    snprintf(out->reason, sizeof out->reason,
             "%zu of %zu servers are up, %zu %s needed%s", n_up, n_in, min_healthy,
             min_healthy == 1 ? "is" : "are",
             roster->n_stable ? "" : "; there is no earlier ring to keep");
}

static bool was_taken_out(const struct ds_roster *roster,
                          const struct ds_standing *servers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (servers[i].intent != DS_INTENT_IN &&
            is_listed(roster->ring, roster->n_ring, servers[i].server.address))
            return true;
    }
    return false;
}

/* A frozen ring goes back to the stable one or, when operators have taken out all of
   that, stays as it is. */
static const struct ds_server *ring_to_keep(const struct ds_roster *roster,
                                            const struct ds_standing *servers, size_t n,
                                            size_t *n_keep)
{
    for (size_t i = 0; i < n; i++) {
        if (is_in(&servers[i]) &&
            is_listed(roster->stable, roster->n_stable, servers[i].server.address)) {
            *n_keep = roster->n_stable;
            return roster->stable;
        }
    }
    *n_keep = roster->n_ring;
    return roster->ring;
}

/* A newcomer that nobody has checked yet is neither needed nor missed. */
static bool is_counted(const struct ds_standing *standing)
{
    return is_in(standing) &&
           (standing->member || standing->health.state != DS_HEALTH_NEW);
}

size_t ds_roster_count_in(const struct ds_standing *servers, size_t n)
{
    return count(servers, n, is_counted);
}

void ds_roster_decide(struct ds_roster *roster, size_t min_healthy,
                      struct ds_standing *servers, size_t n, int64_t now_ms,
                      struct ds_decision *out)
{
    size_t n_in = ds_roster_count_in(servers, n);
    size_t n_up = count(servers, n, is_wanted), n_keep = 0;
    const struct ds_server *keep = NULL;

    *out = (struct ds_decision){0};
    if (!roster->started && !has_verdict(servers, n))
        return;
    out->publish = true;
    out->by_operator = was_taken_out(roster, servers, n);
    if (min_healthy > n_in)
        min_healthy = n_in;
    if (n_up < min_healthy || now_ms < roster->thaw_until_ms) {
        for (size_t i = 0; i < n; i++) {
            if (answers(&servers[i]))
                ds_health_promote(&servers[i].health, now_ms);
        }
        n_up = count(servers, n, is_wanted);
    }
    /* Before the freeze, or the ring that is now there could not be the one to keep. */
    keep_if_stable(roster, now_ms);
    if (n_up < min_healthy) {
        freeze(roster, n_up, n_in, min_healthy, out);
        keep = ring_to_keep(roster, servers, n, &n_keep);
    }
    out->members = ds_xcalloc(n, sizeof *out->members);
    for (size_t i = 0; i < n; i++) {
        bool kept =
            is_in(&servers[i]) && is_listed(keep, n_keep, servers[i].server.address);

        if (kept || is_wanted(&servers[i]))
            out->members[out->n++] = servers[i].server;
    }
    remember(roster, out, now_ms);
}

void ds_decision_release(struct ds_decision *decision)
{
    free(decision->members);
    *decision = (struct ds_decision){0};
}

void ds_auto_decision(struct ds_decision *decision)
{
    ds_decision_release(decision);
}
