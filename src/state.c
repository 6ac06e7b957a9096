/* SPDX-License-Identifier: Apache-2.0 */
/* see state.h; the JSON is read in state_read.c and written in state_write.c */
#include "dshard/state.h"
#include "dshard/process.h"

#include <assert.h>
#include <stdlib.h>

static const char *const cause_names[DS_N_CAUSES] = {
    [DS_CAUSE_START] = "start",       [DS_CAUSE_HEALTH] = "health",
    [DS_CAUSE_OPERATOR] = "operator", [DS_CAUSE_CONFIG] = "config",
    [DS_CAUSE_WEIGHT] = "weight",     [DS_CAUSE_UNFREEZE] = "unfreeze",
};

const char *ds_cause_name(enum ds_cause cause)
{
    return cause_names[cause];
}

int ds_cause_parse(const char *text, enum ds_cause *out)
{
    for (size_t i = 0; i < DS_N_CAUSES; i++) {
        if (strcmp(text, cause_names[i]) == 0) {
            *out = (enum ds_cause)i;
            return 0;
        }
    }
    return -1;
}

void ds_state_init(struct ds_state *state)
{
    *state = (struct ds_state){
        .replicas = DS_REPLICAS_DEFAULT,
        .scheme = "http",
        .route_prefix = ds_xstrdup(""),
        .written_by = ds_xstrdup(""),
    };
    ds_ring_digest(NULL, 0, state->replicas, state->digest);
}

static void release_change(struct ds_change *change)
{
    free(change->added);
    free(change->removed);
    *change = (struct ds_change){0};
}

void ds_state_release(struct ds_state *state)
{
    for (size_t i = 0; i < state->n_history; i++)
        release_change(&state->history[i]);
    free(state->servers);
    free(state->route_prefix);
    free(state->frozen_reason);
    free(state->operation_kind);
    free(state->operation_step);
    free(state->operation_by);
    free(state->written_by);
    *state = (struct ds_state){0};
}

void ds_auto_state(struct ds_state *state)
{
    ds_state_release(state);
}

int ds_state_load(struct ds_state *state, const char *path, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

    DS_AUTO(fd) int fd = ds_file_open_regular(path, err);

    ds_state_init(state);
    if (fd < 0 || ds_file_read_fd(&text, fd, path, err) < 0)
        return -1;
    ds_state_release(state);
    if (ds_state_parse(state, text.data, text.len, err) < 0)
        return ds_wrap(err, "'%s'", path);
    return 0;
}

void ds_state_stamp(struct ds_state *state, int64_t wall_ms)
{
    DS_AUTO(str) char *process = ds_process_name();

    free(state->written_by);
    state->written_by = ds_xasprintf("%s dshard/%s", process, DS_VERSION);
    state->written_at_ms = wall_ms;
}

int ds_state_save(const struct ds_state *state, const char *path, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

    ds_state_format(state, &text);
    if (ds_buf_check(&text, "the state", err) < 0)
        return -1;
    return ds_file_replace(path, text.data, text.len, 0644, err);
}

struct ds_standing *ds_state_find(const struct ds_state *state, const char *address)
{
    struct ds_standing key = {0};

    if (!state->n_servers || strlen(address) >= sizeof key.server.address)
        return NULL;
    memcpy(key.server.address, address, strlen(address) + 1);
    return bsearch(&key, state->servers, state->n_servers, sizeof key,
                   ds_standing_compare);
}

struct ds_standing *ds_state_add(struct ds_state *state, const char *address,
                                 unsigned weight)
{
    struct ds_standing *at = ds_state_find(state, address);
    size_t i = 0;

    if (at)
        return at;
    assert(strlen(address) < DS_ADDRESS_MAX);
    while (i < state->n_servers && strcmp(state->servers[i].server.address, address) < 0)
        i++;
    state->servers =
        ds_xreallocarray(state->servers, state->n_servers + 1, sizeof *state->servers);
    at = &state->servers[i];
    memmove(at + 1, at, (state->n_servers - i) * sizeof *at);
    state->n_servers++;
    *at = (struct ds_standing){.server.weight = weight, .intent = DS_INTENT_IN};
    memcpy(at->server.address, address, strlen(address) + 1);
    return at;
}

void ds_state_remove(struct ds_state *state, const char *address)
{
    struct ds_standing *at = ds_state_find(state, address);

    if (!at)
        return;
    state->n_servers--;
    memmove(at, at + 1, (size_t)(state->servers + state->n_servers - at) * sizeof *at);
}

struct ds_server *ds_state_members(const struct ds_state *state, size_t *n)
{
    struct ds_server *members = NULL;

    *n = 0;
    for (size_t i = 0; i < state->n_servers; i++) {
        if (!state->servers[i].member)
            continue;
        if (!members)
            members = ds_xcalloc(state->n_servers, sizeof *members);
        members[*n] = state->servers[i].server;
        members[(*n)++].weight = state->servers[i].ring_weight;
    }
    return members;
}

struct ds_ring *ds_state_ring(const struct ds_state *state)
{
    struct ds_error err = DS_ERROR_INIT;
    size_t n;
    DS_AUTO(ptr) void *members = ds_state_members(state, &n);

    if (!n)
        return NULL;
    return ds_ring_new(members, n, state->replicas, &err);
}

static bool has_name(const struct ds_server *servers, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(servers[i].address, address) == 0)
            return true;
    }
    return false;
}

/* The names in a that are not in b. */
static size_t names_only_in(const struct ds_server *a, size_t n_a,
                            const struct ds_server *b, size_t n_b,
                            char (**out)[DS_ADDRESS_MAX])
{
    size_t n = 0;

    *out = n_a ? ds_xcalloc(n_a, sizeof **out) : NULL;
    for (size_t i = 0; i < n_a; i++) {
        if (!has_name(b, n_b, a[i].address))
            memcpy((*out)[n++], a[i].address, DS_ADDRESS_MAX);
    }
    return n;
}

static struct ds_change *new_history_entry(struct ds_state *state)
{
    if (state->n_history == DS_HISTORY_MAX)
        release_change(&state->history[--state->n_history]);
    memmove(&state->history[1], &state->history[0],
            state->n_history * sizeof state->history[0]);
    state->n_history++;
    state->history[0] = (struct ds_change){0};
    return &state->history[0];
}

static void apply_members(struct ds_state *state, const struct ds_server *members,
                          size_t n)
{
    for (size_t i = 0; i < state->n_servers; i++) {
        state->servers[i].member = false;
        state->servers[i].ring_weight = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct ds_standing *standing = ds_state_find(state, members[i].address);

        standing->server.weight = standing->ring_weight = members[i].weight;
        standing->member = true;
    }
}

int ds_state_set_ring(struct ds_state *state, const struct ds_server *members, size_t n,
                      unsigned replicas, enum ds_cause cause, int64_t wall_ms,
                      struct ds_error *err)
{
    DS_AUTO(ring) struct ds_ring *before = ds_state_ring(state);
    DS_AUTO(ring) struct ds_ring *after = NULL;
    DS_AUTO(ptr) void *old = NULL;
    char digest[DS_DIGEST_MAX];
    struct ds_change *change;
    size_t n_old;

    ds_ring_digest(members, n, replicas, digest);
    if (strcmp(digest, state->digest) == 0) {
        state->replicas = replicas;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!ds_state_find(state, members[i].address))
            return ds_fail(err, DS_E_FORMAT, "'%s' is not in the state",
                           members[i].address);
    }
    if (n) {
        after = ds_ring_new(members, n, replicas, err);
        if (!after)
            return -1;
    }
    old = ds_state_members(state, &n_old);
    change = new_history_entry(state);
    change->at_ms = wall_ms;
    change->cause = cause;
    change->generation = ++state->generation;
    change->moved_ppm = ds_ring_ppm(ds_ring_moved(before, after));
    change->n_added = names_only_in(members, n, old, n_old, &change->added);
    change->n_removed = names_only_in(old, n_old, members, n, &change->removed);
    apply_members(state, members, n);
    state->replicas = replicas;
    memcpy(state->digest, digest, sizeof digest);
    return 1;
}

void ds_state_take_ring(struct ds_state *state, struct ds_state *from)
{
    for (size_t i = 0; i < state->n_history; i++)
        release_change(&state->history[i]);
    memcpy(state->history, from->history, sizeof state->history);
    state->n_history = from->n_history;
    from->n_history = 0;
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *theirs =
            ds_state_find(from, state->servers[i].server.address);

        state->servers[i].member = theirs && theirs->member;
        state->servers[i].ring_weight = theirs ? theirs->ring_weight : 0;
    }
    state->generation = from->generation;
    state->replicas = from->replicas;
    memcpy(state->digest, from->digest, sizeof state->digest);
}

bool ds_state_is_stale(const struct ds_state *state, int64_t wall_ms)
{
    int64_t age_ms = wall_ms - state->checked_at_ms;

    /* From the future: the clock was put back, and nobody has written since. */
    return age_ms > DS_STATE_STALE_MS || age_ms < -DS_STATE_STALE_MS;
}
