/* SPDX-License-Identifier: Apache-2.0 */
/* see keeper.h */
#include "dshard/keeper.h"
#include "dshard/clock.h"
#include "dshard/log.h"
#include "dshard/operation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void ds_keeper_init(struct ds_keeper *keeper, const char *path)
{
    *keeper = (struct ds_keeper){.path = ds_xstrdup(path),
                                 .lock = DS_FILE_LOCK_INIT,
                                 .alive = DS_FILE_LOCK_INIT,
                                 .fd = -1};
    ds_state_init(&keeper->state);
}

void ds_keeper_release(struct ds_keeper *keeper)
{
    ds_state_release(&keeper->state);
    ds_file_unlock(&keeper->lock);
    ds_file_unlock(&keeper->alive);
    ds_auto_fd(&keeper->fd);
    keeper->fd = -1;
    free(keeper->path);
    keeper->path = NULL;
}

void ds_auto_keeper(struct ds_keeper *keeper)
{
    ds_keeper_release(keeper);
}

/* Beside the state file, hidden; it stays there, empty: what counts is who locks it. */
static char *claim_path(const char *path)
{
    DS_AUTO(str) char *dir = ds_file_dir(path);
    const char *slash = strrchr(path, '/');

    return ds_xasprintf("%s/.%s.watch", dir, slash ? slash + 1 : path);
}

int ds_keeper_claim(struct ds_keeper *keeper, int64_t timeout_ms, struct ds_error *err)
{
    DS_AUTO(str) char *path = claim_path(keeper->path);

    if (ds_file_lock_path(&keeper->alive, path, 0, err) == 0)
        return 0;
    if (err->code == DS_E_TEMP && timeout_ms)
        ds_log(DS_LOG_INFO, "waiting for another watch, or a command, to be done",
               "state", keeper->path, NULL);
    if (ds_file_lock_path(&keeper->alive, path, timeout_ms, err) < 0) {
        if (err->code == DS_E_TEMP)
            return ds_fail(err, DS_E_TEMP, "another watch keeps '%s'", keeper->path);
        return -1;
    }
    return 0;
}

bool ds_keeper_is_claimed(const char *path)
{
    DS_AUTO(str) char *claim = claim_path(path);

    return ds_file_is_locked(claim);
}

/* Opens and reads the file; the descriptor stays open, so its inode is not reused. */
static int read_file(struct ds_keeper *keeper, struct ds_state *state,
                     struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    DS_AUTO(fd) int fd = ds_file_open_regular(keeper->path, err);

    ds_auto_fd(&keeper->fd);
    keeper->fd = -1;
    keeper->unsure = false;
    if (fd < 0)
        return -1;
    if (ds_file_id_of_fd(fd, &keeper->id) < 0)
        return ds_fail_errno(err, "cannot stat '%s'", keeper->path);
    if (ds_file_read_fd(&text, fd, keeper->path, err) < 0)
        return -1;
    if (ds_state_parse(state, text.data, text.len, err) < 0)
        return ds_wrap(err, "'%s'", keeper->path);
    keeper->fd = ds_steal_fd(&fd);
    return 0;
}

/* Damaged, as opposed to good perhaps and only not to be read by us or now. */
static bool is_bad(const struct ds_error *why)
{
    return why->code == DS_E_FORMAT || why->code == DS_E_NEWER;
}

static void set_aside(struct ds_keeper *keeper, const struct ds_error *why)
{
    DS_AUTO(str) char *bad = ds_xasprintf("%s.bad", keeper->path);
    bool was_stuck = keeper->stuck;

    /* A file does not take the place of a directory, nor the reverse. */
    keeper->stuck = rename(keeper->path, bad) < 0 &&
                    (remove(bad) < 0 || rename(keeper->path, bad) < 0);
    if (!keeper->stuck)
        ds_log(DS_LOG_ERROR, "bad state file set aside", "why", why->text, "as", bad,
               NULL);
    else if (!was_stuck)
        ds_log(DS_LOG_ERROR, "bad state file cannot be set aside", "why", why->text,
               "error", strerror(errno), NULL);
}

int ds_keeper_load(struct ds_keeper *keeper, bool may_set_aside, struct ds_error *err)
{
    struct ds_error why = DS_ERROR_INIT;
    struct ds_state state = {0};

    if (read_file(keeper, &state, &why) == 0) {
        ds_state_release(&keeper->state);
        keeper->state = state;
        return 0;
    }
    ds_state_release(&state);
    if (why.code == DS_E_MISSING)
        return 0;
    if (!may_set_aside || !is_bad(&why)) {
        *err = why;
        return -1;
    }
    set_aside(keeper, &why);
    return 0;
}

bool ds_keeper_is_behind(const struct ds_keeper *keeper)
{
    struct ds_file_id id;

    if (keeper->unsure)
        return true;
    if (ds_file_id_of_path(keeper->path, &id) < 0)
        return keeper->fd >= 0;
    return keeper->fd < 0 || !ds_file_id_equal(&id, &keeper->id);
}

/* Takes what an operator says about one server. */
static bool take_intent(struct ds_state *state, const struct ds_standing *theirs)
{
    struct ds_standing *ours = ds_state_find(state, theirs->server.address);
    bool changed = !ours;

    if (!ours) {
        ours = ds_state_add(state, theirs->server.address, theirs->server.weight);
        ours->health = theirs->health;
    }
    if (ours->intent != theirs->intent) {
        /* Somebody who is taken back in is asked anew how he is. */
        if (ours->intent == DS_INTENT_OUT)
            ours->health = (struct ds_health){0};
        changed = true;
    }
    changed = changed || ours->server.weight != theirs->server.weight;
    ours->intent = theirs->intent;
    ours->server.weight = theirs->server.weight;
    return changed;
}

static bool drop_unlisted(struct ds_state *state, const struct ds_state *theirs)
{
    bool changed = false;

    for (size_t i = state->n_servers; i-- > 0;) {
        char address[DS_ADDRESS_MAX];

        memcpy(address, state->servers[i].server.address, sizeof address);
        if (ds_state_find(theirs, address))
            continue;
        ds_state_remove(state, address);
        changed = true;
    }
    return changed;
}

/* Whoever it is, it is not the keeper: the next write must not wipe it. */
static void take_operation(struct ds_state *state, const struct ds_state *theirs)
{
    ds_set_str(&state->operation_kind, theirs->operation_kind);
    ds_set_str(&state->operation_step, theirs->operation_step);
    ds_set_str(&state->operation_by, theirs->operation_by);
    state->operation_since_ms = theirs->operation_since_ms;
}

enum ds_keeper_news ds_keeper_sync(struct ds_keeper *keeper)
{
    struct ds_error why = DS_ERROR_INIT;
    DS_AUTO(state) struct ds_state theirs = {0};
    bool changed, foreign;

    if (!ds_keeper_is_behind(keeper))
        return DS_KEEPER_SAME;
    if (read_file(keeper, &theirs, &why) < 0) {
        if (why.code == DS_E_MISSING)
            return DS_KEEPER_LOST;
        if (is_bad(&why)) {
            set_aside(keeper, &why);
            return DS_KEEPER_LOST;
        }
        keeper->unreadable = why;
        return DS_KEEPER_UNREAD;
    }
    take_operation(&keeper->state, &theirs);
    changed = drop_unlisted(&keeper->state, &theirs);
    for (size_t i = 0; i < theirs.n_servers; i++)
        changed = take_intent(&keeper->state, &theirs.servers[i]) || changed;
    foreign = strcmp(theirs.digest, keeper->state.digest) != 0;
    if (theirs.generation > keeper->state.generation)
        ds_state_take_ring(&keeper->state, &theirs); /* a command has changed it */
    if (changed)
        return DS_KEEPER_INTENT;
    return foreign ? DS_KEEPER_LOST : DS_KEEPER_SAME; /* such as a restored backup */
}

int ds_keeper_lock(struct ds_keeper *keeper, int64_t timeout_ms, struct ds_error *err)
{
    return ds_file_lock_dir(&keeper->lock, keeper->path, timeout_ms, err);
}

void ds_keeper_unlock(struct ds_keeper *keeper)
{
    ds_file_unlock(&keeper->lock);
}

/* What lies there need not be what was written: not everybody takes the lock.  Then the
   next sync has to look at it. */
static void read_back(struct ds_keeper *keeper)
{
    DS_AUTO(buf) struct ds_buf written = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    struct ds_error ignored = DS_ERROR_INIT;
    DS_AUTO(fd) int fd = ds_file_open_regular(keeper->path, &ignored);

    ds_auto_fd(&keeper->fd);
    keeper->fd = -1;
    keeper->unsure = true;
    if (fd < 0 || ds_file_id_of_fd(fd, &keeper->id) < 0 ||
        ds_file_read_fd(&text, fd, keeper->path, &ignored) < 0)
        return;
    ds_state_format(&keeper->state, &written);
    if (text.len != written.len || memcmp(text.data, written.data, text.len) != 0)
        return;
    keeper->fd = ds_steal_fd(&fd);
    keeper->unsure = false;
}

int ds_keeper_save(struct ds_keeper *keeper, struct ds_error *err)
{
    ds_operation_tidy(&keeper->state);
    ds_state_stamp(&keeper->state, ds_clock_wall_ms());
    if (ds_state_save(&keeper->state, keeper->path, err) < 0)
        return -1;
    read_back(keeper);
    keeper->stuck = false;
    return 0;
}

bool ds_keeper_add_configured(struct ds_keeper *keeper, const struct ds_config *config)
{
    bool changed = false;

    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        const struct ds_server *server = &config->pushgateway.servers[i];

        if (ds_state_find(&keeper->state, server->address))
            continue;
        ds_state_add(&keeper->state, server->address, server->weight);
        changed = true;
    }
    return changed;
}

bool ds_keeper_configure(struct ds_keeper *keeper, const struct ds_config *config)
{
    struct ds_state *state = &keeper->state;
    bool changed = ds_keeper_add_configured(keeper, config);

    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        const struct ds_server *server = &config->pushgateway.servers[i];
        struct ds_standing *standing = ds_state_find(state, server->address);

        if (config->consul) /* which has the weights */
            continue;
        changed = changed || standing->server.weight != server->weight;
        standing->server.weight = server->weight;
    }
    if (strcmp(state->scheme, config->pushgateway.scheme) != 0 ||
        strcmp(state->route_prefix, config->pushgateway.route_prefix) != 0 ||
        state->consul != config->consul)
        changed = true;
    snprintf(state->scheme, sizeof state->scheme, "%s", config->pushgateway.scheme);
    ds_set_str(&state->route_prefix, config->pushgateway.route_prefix);
    state->consul = config->consul;
    return changed;
}
