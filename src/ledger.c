/* SPDX-License-Identifier: Apache-2.0 */
/* see ledger.h */
#include "dshard/ledger.h"

#include <stdio.h>
#include <stdlib.h>

void ds_ledger_init(struct ds_ledger *ledger, int64_t shrink_hold_ms, int64_t now_ms)
{
    *ledger =
        (struct ds_ledger){.shrink_hold_ms = shrink_hold_ms, .lost_since_ms = now_ms};
}

void ds_ledger_release(struct ds_ledger *ledger)
{
    free(ledger->lines);
    *ledger = (struct ds_ledger){0};
}

static struct ds_ledger_line *find(const struct ds_ledger *ledger, const char *address)
{
    size_t low = 0, high = ledger->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(address, ledger->lines[middle].sighting.address);

        if (!order)
            return &ledger->lines[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static struct ds_ledger_line *find_or_add(struct ds_ledger *ledger, const char *address)
{
    struct ds_ledger_line *line = find(ledger, address);
    size_t at = 0;

    if (line)
        return line;
    while (at < ledger->n && strcmp(ledger->lines[at].sighting.address, address) < 0)
        at++;
    ledger->lines = ds_xreallocarray(ledger->lines, ledger->n + 1, sizeof *ledger->lines);
    line = &ledger->lines[at];
    memmove(line + 1, line, (ledger->n - at) * sizeof *line);
    ledger->n++;
    *line = (struct ds_ledger_line){.sighting.weight = 1};
    memcpy(line->sighting.address, address, strlen(address) + 1);
    return line;
}

static void set_word(struct ds_ledger *ledger, struct ds_ledger_line *line,
                     enum ds_word word, int64_t now_ms)
{
    if (line->word == word)
        return;
    line->word = word;
    line->word_since_ms = now_ms;
    line->own_fails = 0;
    line->own_seq = 0;
    line->mass = line->gone = false;
    ledger->disputes_changed = true;
}

/* Nobody speaks for it any more: what Consul said of it counts no longer. */
static void let_go(struct ds_ledger_line *line)
{
    line->gone = true;
    line->drained = line->joining = false;
}

static void set_evidence(struct ds_ledger *ledger, struct ds_ledger_line *line,
                         enum ds_sight sight, const char *why)
{
    line->sighting.sight = sight;
    line->sighting.seq = ++ledger->seq;
    snprintf(line->sighting.why, sizeof line->sighting.why, "%.*s", DS_WHY_MAX - 1, why);
    ledger->news = true;
}

/* ---- Consul's answers ---- */

static void take_instance(struct ds_ledger *ledger,
                          const struct ds_consul_instance *instance, int64_t now_ms)
{
    struct ds_ledger_line *line = find_or_add(ledger, instance->server.address);

    line->listed = line->was_there = true;
    line->drained = instance->drained;
    line->joining = instance->joining;
    line->sighting.weight = instance->server.weight;
    switch (instance->kind) {
    case DS_CONSUL_PASSING:
        set_word(ledger, line, DS_WORD_CHECKED, now_ms);
        set_evidence(ledger, line, DS_SIGHT_OK, instance->why);
        return;
    case DS_CONSUL_FAILING:
        set_word(ledger, line, DS_WORD_CHECKED, now_ms);
        set_evidence(ledger, line, DS_SIGHT_FAIL, instance->why);
        return;
    case DS_CONSUL_UNPROBED:
        set_word(ledger, line, DS_WORD_UNPROBED, now_ms);
        return;
    case DS_CONSUL_AGENT_LOST:
        set_word(ledger, line, DS_WORD_AGENT_LOST, now_ms);
        return;
    }
}

/* More than half of those who were there within the window are gone, and nobody took them
   out: that is Consul's loss, not theirs. */
static void judge_vanished(struct ds_ledger *ledger, int64_t now_ms)
{
    size_t there = 0, gone = 0;

    for (size_t i = 0; i < ledger->n; i++) {
        const struct ds_ledger_line *line = &ledger->lines[i];
        bool recent = line->word == DS_WORD_VANISHED && !line->out &&
                      (line->mass || now_ms - line->word_since_ms <= DS_LEDGER_WINDOW_MS);

        gone += recent;
        there += recent || line->listed;
    }
    if (gone * 2 <= there)
        return;
    for (size_t i = 0; i < ledger->n; i++) {
        struct ds_ledger_line *line = &ledger->lines[i];

        /* Who has been let go by then is not called back. */
        if (line->word != DS_WORD_VANISHED || line->mass || line->gone ||
            now_ms - line->word_since_ms > DS_LEDGER_SETTLE_MS)
            continue;
        line->mass = true;
        ledger->disputes_changed = true;
    }
}

static void take_absent(struct ds_ledger *ledger, int64_t now_ms)
{
    for (size_t i = 0; i < ledger->n; i++) {
        struct ds_ledger_line *line = &ledger->lines[i];

        if (line->listed)
            continue;
        if (line->was_there) {
            set_word(ledger, line, DS_WORD_VANISHED, now_ms);
        } else {
            line->drained = line->joining = false;
            set_word(ledger, line, DS_WORD_CHECKED, now_ms);
            set_evidence(ledger, line, DS_SIGHT_FAIL, "not registered in Consul");
        }
    }
    judge_vanished(ledger, now_ms);
}

void ds_ledger_take(struct ds_ledger *ledger, const struct ds_consul_view *view,
                    int64_t now_ms)
{
    ledger->reachable = ledger->answered = true;
    for (size_t i = 0; i < ledger->n; i++)
        ledger->lines[i].listed = false;
    for (size_t i = 0; i < view->n; i++)
        take_instance(ledger, &view->items[i], now_ms);
    take_absent(ledger, now_ms);
    ledger->news = ledger->disputes_changed = true;
}

void ds_ledger_lose(struct ds_ledger *ledger, int64_t since_ms)
{
    if (ledger->reachable)
        ledger->disputes_changed = ledger->news = true;
    ledger->reachable = false;
    ledger->lost_since_ms = since_ms;
}

void ds_ledger_clear_marks(struct ds_ledger *ledger)
{
    for (size_t i = 0; i < ledger->n; i++)
        ledger->lines[i].out = false;
    ledger->marks_known = ledger->news = ledger->disputes_changed = true;
}

void ds_ledger_mark(struct ds_ledger *ledger, const char *address)
{
    find_or_add(ledger, address)->out = true;
}

/* ---- our own checks ---- */

static bool is_unreachable(const struct ds_ledger *ledger, int64_t now_ms)
{
    return !ledger->reachable &&
           now_ms - ledger->lost_since_ms >= DS_LEDGER_UNREACHABLE_MS;
}

bool ds_ledger_is_disputed(const struct ds_ledger *ledger,
                           const struct ds_ledger_line *line, int64_t now_ms)
{
    if (line->out)
        return false;
    if (line->word == DS_WORD_UNPROBED || line->word == DS_WORD_AGENT_LOST)
        return true;
    if (line->word == DS_WORD_VANISHED)
        return line->mass && !line->gone;
    return is_unreachable(ledger, now_ms) && line->was_there;
}

static const char *word_text(const struct ds_ledger *ledger,
                             const struct ds_ledger_line *line)
{
    if (!ledger->reachable)
        return "Consul cannot be reached";
    switch (line->word) {
    case DS_WORD_UNPROBED:
        return "Consul has not checked it since its agent started";
    case DS_WORD_AGENT_LOST:
        return "its Consul agent is lost";
    case DS_WORD_VANISHED:
        return "it vanished from Consul";
    case DS_WORD_NONE:
    case DS_WORD_CHECKED:
        break;
    }
    return "Consul cannot be reached";
}

static void weigh_own(struct ds_ledger *ledger, struct ds_ledger_line *line,
                      const struct ds_sighting *own, int64_t now_ms)
{
    bool final = own->sight == DS_SIGHT_FINAL;
    char why[DS_WHY_MAX];

    if (own->sight == DS_SIGHT_OK) {
        bool newcomer = line->word == DS_WORD_UNPROBED &&
                        now_ms - line->word_since_ms < DS_LEDGER_NEWCOMER_MS;

        line->own_fails = 0;
        if (!newcomer && ledger->reachable)
            set_evidence(ledger, line, DS_SIGHT_ALIVE, word_text(ledger, line));
        return;
    }
    line->own_fails++;
    if (!ledger->reachable && line->word == DS_WORD_CHECKED && !final)
        return; /* without Consul only a refused connection counts */
    if (!final && line->own_fails < DS_LEDGER_FALL)
        return;
    if (line->word == DS_WORD_VANISHED &&
        now_ms - line->word_since_ms < ledger->shrink_hold_ms)
        return;
    snprintf(why, sizeof why, "%.60s, and our own check: %.110s", word_text(ledger, line),
             own->why);
    if (line->word == DS_WORD_VANISHED)
        let_go(line);
    set_evidence(ledger, line, DS_SIGHT_FINAL, why);
}

void ds_ledger_weigh(struct ds_ledger *ledger, const struct ds_fleet *fleet,
                     int64_t now_ms)
{
    for (size_t i = 0; i < fleet->n; i++) {
        const struct ds_sighting *own = &fleet->items[i];
        struct ds_ledger_line *line = find(ledger, own->address);

        if (!line || !ds_ledger_is_disputed(ledger, line, now_ms) ||
            own->seq == line->own_seq)
            continue;
        line->own_seq = own->seq;
        weigh_own(ledger, line, own, now_ms);
    }
}

/* One or a few that are gone while the others are there were deregistered. */
void ds_ledger_tick(struct ds_ledger *ledger, int64_t now_ms)
{
    for (size_t i = 0; i < ledger->n; i++) {
        struct ds_ledger_line *line = &ledger->lines[i];
        int64_t age_ms = now_ms - line->word_since_ms;

        if (line->word != DS_WORD_VANISHED)
            continue;
        if (!line->gone && !line->mass && age_ms >= DS_LEDGER_SETTLE_MS) {
            let_go(line);
            set_evidence(ledger, line, DS_SIGHT_FAIL, "no longer registered in Consul");
        }
        if (line->gone && age_ms > DS_LEDGER_WINDOW_MS)
            line->was_there = false; /* nobody counts it any more */
    }
}

int64_t ds_ledger_next_ms(const struct ds_ledger *ledger, int64_t now_ms)
{
    int64_t next = INT64_MAX;

    if (ledger->news || ledger->disputes_changed)
        return now_ms;
    if (!ledger->reachable && !is_unreachable(ledger, now_ms))
        next = ledger->lost_since_ms + DS_LEDGER_UNREACHABLE_MS;
    for (size_t i = 0; i < ledger->n; i++) {
        const struct ds_ledger_line *line = &ledger->lines[i];
        int64_t settled_ms = line->word_since_ms + DS_LEDGER_SETTLE_MS;

        if (line->word == DS_WORD_VANISHED && !line->mass && !line->gone &&
            settled_ms < next)
            next = settled_ms;
    }
    return next;
}

static void forget_unknown(struct ds_ledger *ledger)
{
    size_t kept = 0;

    for (size_t i = 0; i < ledger->n; i++) {
        const struct ds_ledger_line *line = &ledger->lines[i];

        if (line->tracked || line->listed || line->was_there || line->out)
            ledger->lines[kept++] = *line;
    }
    ledger->n = kept;
}

void ds_ledger_track(struct ds_ledger *ledger, const struct ds_standing *servers,
                     size_t n, int64_t now_ms)
{
    for (size_t i = 0; i < ledger->n; i++)
        ledger->lines[i].tracked = false;
    for (size_t i = 0; i < n; i++) {
        bool is_new = !find(ledger, servers[i].server.address);
        struct ds_ledger_line *line = find_or_add(ledger, servers[i].server.address);

        line->tracked = true;
        line->was_there = line->was_there || (servers[i].member && !line->gone);
        if (!is_new)
            continue;
        line->was_there = servers[i].member;
        line->sighting.weight = servers[i].server.weight;
        line->out = servers[i].intent == DS_INTENT_OUT && !ledger->marks_known;
        line->drained = servers[i].intent == DS_INTENT_DRAINING;
        line->joining = servers[i].intent == DS_INTENT_JOINING;
    }
    forget_unknown(ledger);
    if (ledger->answered)
        take_absent(ledger, now_ms);
    ledger->disputes_changed = true;
}

size_t ds_ledger_sightings(const struct ds_ledger *ledger, struct ds_sighting **items)
{
    *items = ds_xreallocarray(*items, ledger->n, sizeof **items);
    for (size_t i = 0; i < ledger->n; i++) {
        const struct ds_ledger_line *line = &ledger->lines[i];
        struct ds_sighting *sighting = &(*items)[i];

        *sighting = line->sighting;
        sighting->listed = line->listed || (line->was_there && !line->gone);
        sighting->intent = DS_INTENT_IN;
        if (line->out)
            sighting->intent = DS_INTENT_OUT;
        else if (line->drained)
            sighting->intent = DS_INTENT_DRAINING;
        else if (line->joining)
            sighting->intent = DS_INTENT_JOINING;
    }
    return ledger->n;
}

bool ds_ledger_lists_any(const struct ds_ledger *ledger)
{
    for (size_t i = 0; i < ledger->n; i++) {
        if (ledger->lines[i].listed)
            return true;
    }
    return false;
}

bool ds_ledger_is_deserted(const struct ds_ledger *ledger)
{
    bool was_there = false;

    for (size_t i = 0; i < ledger->n; i++)
        was_there = was_there || (ledger->lines[i].was_there && !ledger->lines[i].out);
    return ledger->reachable && was_there && !ds_ledger_lists_any(ledger);
}
