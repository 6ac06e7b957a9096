/* SPDX-License-Identifier: Apache-2.0 */
/* see stats.h */
#include "stats.h"
#include "dshard/murmur3.h"
#include "shared_lock.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    CACHE_LINE = 64,
    PLACE_OTHER = DS_STATS_PLACES, /* of all servers that got no place */
};

/* One writer, any number of readers. */
struct counter {
    _Atomic uint64_t n;
};

struct slot {
    /* The thread that answers. */
    _Alignas(CACHE_LINE) struct counter requests[DS_N_METHODS][DS_N_STATUSES];
    struct counter refused[DS_N_WORKS][DS_N_REFUSALS];
    struct counter durations[DS_N_WORKS][DS_N_BUCKETS];
    struct counter duration_ns[DS_N_WORKS];
    /* The loader's. */
    _Alignas(CACHE_LINE) struct counter starts;
    struct counter loads, load_errors;
    struct counter bad;       /* 1: the file that lies there is not in use */
    struct counter stateful;  /* 1: a state is in use, that of the file or one before */
    struct counter stateless; /* 1: none is; at first neither is known */
    _Atomic int64_t loaded_ms;
    /* The thread that answers; at the end, because few of them are ever touched. */
    _Alignas(CACHE_LINE) struct counter pushes[DS_STATS_PLACES + 1];
};

struct shared {
    int64_t started_ms;
    unsigned n_slots;
    struct ds_shared_lock lock;

    /* Written under the lock.  Who is killed with it may lose a change that it was
       counting, and an address without its number is written again. */
    bool seen;           /* a state */
    uint64_t generation; /* of the newest that was seen */
    int64_t written_at_ms;
    struct counter changes[DS_N_COUNTED_CAUSES];
    atomic_size_t n_places; /* entries of the two below that are complete */
    uint32_t hashes[DS_STATS_PLACES];
    char addresses[DS_STATS_PLACES][DS_ADDRESS_MAX];

    struct slot slots[];
};

struct ds_stats {
    struct shared *shared;
    size_t len;
    struct slot *own; /* NULL before ds_stats_begin() */
};

static uint64_t get(const struct counter *from)
{
    return atomic_load_explicit(&from->n, memory_order_relaxed);
}

static void set(struct counter *to, uint64_t value)
{
    atomic_store_explicit(&to->n, value, memory_order_relaxed);
}

/* Nobody else writes it, so this need not be one instruction. */
static void add(struct counter *to, uint64_t n)
{
    set(to, get(to) + n);
}

struct ds_stats *ds_stats_new(unsigned n_workers, int64_t now_ms, struct ds_error *err)
{
    DS_AUTO(stats) struct ds_stats *stats = ds_xcalloc(1, sizeof *stats);
    size_t len = sizeof *stats->shared + n_workers * sizeof stats->shared->slots[0];
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        ds_fail_errno(err, "cannot share memory among %u workers", n_workers);
        return NULL;
    }
    stats->shared = at;
    stats->len = len;
    stats->shared->started_ms = now_ms;
    stats->shared->n_slots = n_workers;
    if (ds_shared_lock_init(&stats->shared->lock, err) < 0)
        return NULL;
    return ds_steal(&stats);
}

void ds_stats_free(struct ds_stats *stats)
{
    if (!stats)
        return;
    if (stats->shared)
        munmap(stats->shared, stats->len);
    free(stats);
}

void ds_auto_stats(struct ds_stats **stats)
{
    ds_stats_free(*stats);
}

void ds_stats_begin(struct ds_stats *stats, unsigned worker)
{
    assert(worker < stats->shared->n_slots);
    stats->own = &stats->shared->slots[worker];
    add(&stats->own->starts, 1);
}

void ds_stats_count(struct ds_stats *stats, const struct ds_outcome *outcome, uint64_t ns)
{
    struct slot *own = stats->own;
    enum ds_work work = ds_method_is_push(outcome->method) ? DS_WORK_PUSH : DS_WORK_OTHER;

    add(&own->requests[outcome->method][ds_counted_status_index(outcome->status)], 1);
    if (outcome->refusal != DS_REFUSAL_NONE)
        add(&own->refused[work][outcome->refusal], 1);
    if (outcome->place >= 0)
        add(&own->pushes[outcome->place], 1);
    add(&own->durations[work][ds_duration_bucket(ns)], 1);
    add(&own->duration_ns[work], ns);
}

/* ---- what several write --------------------------------------------------------------
 */

/* Entries that are complete never change, so who did not get the lock may look, too. */
static uint16_t place_of(struct shared *shared, const char *address, bool locked)
{
    size_t n = atomic_load_explicit(&shared->n_places, memory_order_acquire);
    uint32_t hash = ds_murmur3(address, strlen(address), 0);

    for (size_t i = 0; i < n; i++) {
        if (shared->hashes[i] == hash && strcmp(shared->addresses[i], address) == 0)
            return (uint16_t)i;
    }
    if (!locked || n == DS_STATS_PLACES)
        return PLACE_OTHER;
    shared->hashes[n] = hash;
    memcpy(shared->addresses[n], address, strlen(address) + 1);
    atomic_store_explicit(&shared->n_places, n + 1, memory_order_release);
    return (uint16_t)n;
}

uint16_t *ds_stats_places(struct ds_stats *stats, const struct ds_server *servers,
                          size_t n)
{
    uint16_t *places;
    bool locked;

    if (!stats)
        return NULL;
    places = ds_xcalloc(n ? n : 1, sizeof *places);
    locked = ds_shared_lock_take(&stats->shared->lock);
    for (size_t i = 0; i < n; i++)
        places[i] = place_of(stats->shared, servers[i].address, locked);
    if (locked)
        ds_shared_lock_give(&stats->shared->lock);
    return places;
}

/* The changes after `seen` of which the history tells, and how many there were in all. */
static void add_changes(struct shared *shared, const struct ds_state *state,
                        uint64_t seen)
{
    uint64_t n = state->generation - seen;

    for (size_t i = 0; i < state->n_history; i++) {
        const struct ds_change *change = &state->history[i];

        if (change->generation <= seen || change->generation > state->generation || !n)
            continue;
        add(&shared->changes[change->cause], 1);
        n--;
    }
    add(&shared->changes[DS_CAUSE_UNKNOWN], n);
}

/* The file was made anew, and its generations begin again. */
static void add_changes_since(struct shared *shared, const struct ds_state *state,
                              int64_t since_ms)
{
    for (size_t i = 0; i < state->n_history; i++) {
        if (state->history[i].at_ms > since_ms)
            add(&shared->changes[state->history[i].cause], 1);
    }
}

/* Every worker sees every change; the first one counts it.  What had changed before the
   first look is none of ours. */
static void see_changes(struct shared *shared, const struct ds_state *state)
{
    uint64_t generation = shared->generation;
    int64_t written_at_ms = shared->written_at_ms;
    bool seen = shared->seen, is_later = state->written_at_ms > written_at_ms;

    if (seen && state->generation <= generation && !is_later)
        return; /* what another worker has read before, and this one only now */
    /* First what was seen, so that nothing is counted twice if this is the end of us. */
    shared->seen = true;
    shared->generation = state->generation;
    shared->written_at_ms = state->written_at_ms;
    if (seen && state->generation > generation)
        add_changes(shared, state, generation);
    else if (seen && state->generation < generation)
        add_changes_since(shared, state, written_at_ms);
}

void ds_stats_loaded(struct ds_stats *stats, const struct ds_state *state, int64_t now_ms)
{
    if (!stats)
        return;
    if (ds_shared_lock_take(&stats->shared->lock)) {
        see_changes(stats->shared, state); /* else the next one sees these, too */
        ds_shared_lock_give(&stats->shared->lock);
    }
    add(&stats->own->loads, 1);
    set(&stats->own->bad, 0);
    atomic_store_explicit(&stats->own->loaded_ms, now_ms, memory_order_relaxed);
}

void ds_stats_load_failed(struct ds_stats *stats)
{
    if (!stats)
        return;
    add(&stats->own->load_errors, 1);
    set(&stats->own->bad, 1);
}

void ds_stats_file_is_back(struct ds_stats *stats)
{
    if (stats)
        set(&stats->own->bad, 0);
}

void ds_stats_set_usable(struct ds_stats *stats, bool usable)
{
    if (!stats)
        return;
    set(&stats->own->stateful, usable);
    set(&stats->own->stateless, !usable);
}

/* ---- adding up -----------------------------------------------------------------------
 */

static void add_up(uint64_t *sums, const struct counter *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sums[i] += get(&from[i]);
}

static void add_slot(struct ds_counters *out, const struct slot *slot)
{
    int64_t loaded_ms = atomic_load_explicit(&slot->loaded_ms, memory_order_relaxed);

    for (size_t i = 0; i < DS_N_METHODS; i++)
        add_up(out->requests[i], slot->requests[i], DS_N_STATUSES);
    for (size_t i = 0; i < DS_N_WORKS; i++) {
        add_up(out->refused[i], slot->refused[i], DS_N_REFUSALS);
        add_up(out->durations[i], slot->durations[i], DS_N_BUCKETS);
    }
    add_up(out->duration_ns, slot->duration_ns, DS_N_WORKS);
    if (get(&slot->starts))
        out->worker_restarts += get(&slot->starts) - 1;
    out->loads += get(&slot->loads);
    out->load_errors += get(&slot->load_errors);
    out->loaded_well = out->loaded_well && !get(&slot->bad);
    if (loaded_ms > out->loaded_ms)
        out->loaded_ms = loaded_ms;
}

static uint64_t pushes_at(const struct shared *shared, size_t place)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < shared->n_slots; i++)
        n += get(&shared->slots[i].pushes[place]);
    return n;
}

static void add_pushes(struct ds_counters *out, const struct shared *shared)
{
    size_t n = atomic_load_explicit(&shared->n_places, memory_order_acquire);
    uint64_t others = pushes_at(shared, PLACE_OTHER);

    out->pushes = ds_xcalloc(n + 1, sizeof *out->pushes);
    for (size_t i = 0; i < n; i++)
        out->pushes[i] =
            (struct ds_push_count){shared->addresses[i], pushes_at(shared, i)};
    out->n_pushes = n;
    if (n == DS_STATS_PLACES || others)
        out->pushes[out->n_pushes++] = (struct ds_push_count){"other", others};
}

bool ds_stats_usable(const struct ds_stats *stats)
{
    const struct shared *shared = stats->shared;
    bool found = false;

    for (unsigned i = 0; i < shared->n_slots; i++) {
        if (get(&shared->slots[i].stateless))
            return false;
        found = found || get(&shared->slots[i].stateful);
    }
    return found;
}

void ds_stats_read(const struct ds_stats *stats, struct ds_counters *out)
{
    const struct shared *shared = stats->shared;

    *out = (struct ds_counters){.n_workers = shared->n_slots,
                                .started_ms = shared->started_ms,
                                .loaded_well = true};
    add_up(out->changes, shared->changes, DS_N_COUNTED_CAUSES);
    for (unsigned i = 0; i < shared->n_slots; i++)
        add_slot(out, &shared->slots[i]);
    add_pushes(out, shared);
    out->loaded_well = out->loaded_well && out->loads;
    out->usable = ds_stats_usable(stats);
}
