/* SPDX-License-Identifier: Apache-2.0 */
/* see operation.h */
#include "dshard/operation.h"
#include "dshard/aim.h"
#include "dshard/clock.h"
#include "dshard/process.h"

enum {
    LOCK_TIMEOUT_MS = 5000,     /* others write for milliseconds */
    WORD_MAX = DS_AIM_KIND_MAX, /* far below what the file may have */
};

/* Reads the file that is there, under its lock. */
static int open_state(const char *path, struct ds_file_lock *lock, struct ds_state *state,
                      struct ds_error *err)
{
    if (ds_file_lock_dir(lock, path, LOCK_TIMEOUT_MS, err) < 0)
        return -1;
    return ds_state_load(state, path, err);
}

static int save(struct ds_state *state, const char *path, struct ds_error *err)
{
    ds_state_stamp(state, ds_clock_wall_ms());
    return ds_state_save(state, path, err);
}

static bool is(const char *word, const char *other)
{
    return word && strcmp(word, other) == 0;
}

/* A dead one that is still to be finished is told until it is: what names no servers,
   such as the passes of a watch, does not take its place. */
static bool must_stay(const struct ds_state *state, const char *kind)
{
    enum ds_aim aim = ds_aim_of(state);

    return (aim == DS_AIM_OPEN || aim == DS_AIM_GROUPS) && !ds_aim_is_servers(kind) &&
           ds_operation_is_dead(state);
}

int ds_operation_set(const char *state_path, const char *kind, const char *step,
                     struct ds_error *err)
{
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(str) char *by = ds_process_name();

    if (strlen(kind) > WORD_MAX || strlen(step) > WORD_MAX)
        return ds_fail(err, DS_E_FAILED, "the step '%.40s...' is longer than %d bytes",
                       step, WORD_MAX);
    if (open_state(state_path, &lock, &state, err) < 0)
        return -1;
    if (must_stay(&state, kind))
        return 0;
    if (!is(state.operation_kind, kind) || !is(state.operation_by, by))
        state.operation_since_ms = ds_clock_wall_ms();
    else if (is(state.operation_step, step))
        return 0;
    ds_set_str(&state.operation_kind, kind);
    ds_set_str(&state.operation_step, step);
    ds_set_str(&state.operation_by, by);
    return save(&state, state_path, err);
}

static void forget(struct ds_state *state)
{
    ds_set_str(&state->operation_kind, NULL);
    ds_set_str(&state->operation_step, NULL);
    ds_set_str(&state->operation_by, NULL);
    state->operation_since_ms = 0;
}

/* Ends the one that the file tells of if `holds` says so.  No file: nothing to end. */
static int clear_if(const char *path,
                    bool (*holds)(const struct ds_state *state, const char *word),
                    const char *word, struct ds_error *err)
{
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    DS_AUTO(state) struct ds_state state = {0};

    if (open_state(path, &lock, &state, err) < 0)
        return err->code == DS_E_MISSING ? 0 : -1;
    if (!holds(&state, word))
        return 0;
    forget(&state);
    return save(&state, path, err);
}

static bool is_by(const struct ds_state *state, const char *by)
{
    return is(state->operation_by, by);
}

int ds_operation_end(const char *state_path, struct ds_error *err)
{
    DS_AUTO(str) char *by = ds_process_name();

    return clear_if(state_path, is_by, by, err);
}

static bool is_by_and_over(const struct ds_state *state, const char *by)
{
    return is_by(state, by) && ds_aim_of(state) == DS_AIM_OVER;
}

int ds_operation_leave(const char *state_path, struct ds_error *err)
{
    DS_AUTO(str) char *by = ds_process_name();

    return clear_if(state_path, is_by_and_over, by, err);
}

static bool is_dead_kind(const struct ds_state *state, const char *kind)
{
    return is(state->operation_kind, kind) && ds_operation_is_dead(state);
}

int ds_operation_end_dead(const char *state_path, const char *kind, struct ds_error *err)
{
    return clear_if(state_path, is_dead_kind, kind, err);
}

static bool has_dead_groups(const struct ds_state *state, const char *none)
{
    (void)none;
    return ds_aim_of(state) == DS_AIM_GROUPS && ds_operation_is_dead(state);
}

int ds_operation_groups_done(const char *state_path, struct ds_error *err)
{
    return clear_if(state_path, has_dead_groups, NULL, err);
}

void ds_operation_tidy(struct ds_state *state)
{
    if (ds_aim_of(state) == DS_AIM_OVER && ds_operation_is_dead(state))
        forget(state);
}

bool ds_operation_is_dead(const struct ds_state *state)
{
    return state->operation_by && ds_process_is_dead(state->operation_by);
}
