/* SPDX-License-Identifier: Apache-2.0 */
/* see tender.h; what is said about passes is in tender_log.c */
#include "dshard/tender.h"
#include "dshard/clock.h"
#include "dshard/pacer.h"
#include "dshard/pass.h"
#include "dshard/restarts.h"
#include "tender_impl.h"

#include <signal.h>
#include <stdlib.h>

enum {
    STOP_MS = 5000,
    PASS_MAX_MS = 10 * 60 * 1000, /* a pass has a budget; one that hangs is ended */
    ARGS_MAX = 14,
    STATUS_FAILED = 1,
    STATUS_NO = 3,
    STATUS_TEMP = 75,
};

/* One that is held until a pass has cleaned it. */
struct cleaning {
    char address[DS_ADDRESS_MAX];
    int64_t since_ms; /* as its health has it: another one after another return */
    bool in_pass;     /* the pass that runs began after that */
    bool said;        /* that it waits for who has the fleet's lock */
};

struct ds_tender {
    struct ds_follower *follower; /* borrowed */
    const char *config_path;      /* borrowed */
    struct ds_restarts *restarts;
    struct ds_pacer pacer;
    struct ds_child child;
    struct ds_tender_log log;
    enum ds_watch_groups mode;  /* DS_GROUPS_OFF: nothing is tended */
    uint64_t generation;        /* of the ring as it was seen last */
    int64_t began_ms, until_ms; /* of the pass that runs, monotonic */
    bool unwanted;              /* the pass that runs was told to end */
    bool looks;                 /* it only looks, as somebody else tends the groups */
    struct cleaning *cleanings; /* owned */
    size_t n_cleanings;
};

struct ds_tender *ds_tender_new(struct ds_follower *follower, const char *config_path,
                                struct ds_error *err)
{
    struct ds_restarts *restarts = ds_restarts_new(follower->config, follower->loop, err);
    struct ds_tender *tender;

    if (!restarts)
        return NULL;
    tender = ds_xcalloc(1, sizeof *tender);
    tender->follower = follower;
    tender->config_path = config_path;
    tender->restarts = restarts;
    ds_pacer_init(&tender->pacer);
    ds_child_init(&tender->child, DS_PASS_BYTES_MAX);
    follower->tended = true;
    return tender;
}

void ds_tender_free(struct ds_tender *tender)
{
    if (!tender)
        return;
    tender->follower->tended = false;
    ds_child_stop(&tender->child, STOP_MS);
    ds_child_release(&tender->child);
    ds_restarts_free(tender->restarts);
    ds_tender_log_release(&tender->log);
    free(tender->cleanings);
    free(tender);
}

int ds_tender_configure(struct ds_tender *tender, struct ds_error *err)
{
    struct ds_restarts *restarts =
        ds_restarts_new(tender->follower->config, tender->follower->loop, err);

    if (!restarts)
        return -1;
    ds_restarts_free(tender->restarts);
    tender->restarts = restarts;
    if (tender->mode != DS_GROUPS_OFF)
        ds_pacer_note(&tender->pacer, DS_PACER_START, ds_clock_mono_ms());
    return 0;
}

/* ---- what happens ---- */

static void end_pass(struct ds_tender *tender, int64_t now_ms)
{
    ds_child_signal(&tender->child, SIGTERM);
    tender->unwanted = tender->child.pid != 0;
    tender->until_ms = now_ms + STOP_MS;
}

/* Another configuration, or another one decides now. */
static void set_mode(struct ds_tender *tender, int64_t now_ms)
{
    const struct ds_follower *follower = tender->follower;
    enum ds_watch_groups mode =
        ds_follower_decides(follower) ? follower->config->watch.groups : DS_GROUPS_OFF;

    if (mode == tender->mode)
        return;
    end_pass(tender, now_ms);
    tender->mode = mode;
    tender->generation = follower->keeper.state.generation;
    ds_pacer_init(&tender->pacer);
    if (mode != DS_GROUPS_OFF)
        ds_pacer_note(&tender->pacer, DS_PACER_START, now_ms);
}

static void note_ring(struct ds_tender *tender, int64_t now_ms)
{
    uint64_t generation = tender->follower->keeper.state.generation;

    if (generation == tender->generation)
        return;
    ds_pacer_note(&tender->pacer, DS_PACER_RING, now_ms);
    tender->generation = generation;
}

static const struct cleaning *find_cleaning(const struct ds_tender *tender,
                                            const struct ds_standing *standing)
{
    for (size_t i = 0; i < tender->n_cleanings; i++) {
        const struct cleaning *cleaning = &tender->cleanings[i];

        if (strcmp(cleaning->address, standing->server.address) == 0 &&
            cleaning->since_ms == standing->health.since_ms)
            return cleaning;
    }
    return NULL;
}

/* Who is to be cleaned: a list that is empty but for moments. */
static void note_held(struct ds_tender *tender, int64_t now_ms)
{
    const struct ds_state *state = &tender->follower->keeper.state;
    struct cleaning *cleanings = NULL;
    size_t n = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        const struct cleaning *known = find_cleaning(tender, standing);
        struct cleaning cleaning = {.since_ms = standing->health.since_ms};

        if (!standing->health.unclean)
            continue;
        memcpy(cleaning.address, standing->server.address, sizeof cleaning.address);
        if (!known)
            ds_pacer_note(&tender->pacer, DS_PACER_BACK, now_ms);
        cleanings = ds_xreallocarray(cleanings, n + 1, sizeof *cleanings);
        cleanings[n++] = known ? *known : cleaning;
    }
    free(tender->cleanings);
    tender->cleanings = cleanings;
    tender->n_cleanings = n;
}

/* A held one may have its old groups back although it has been cleaned. */
static void note_restarts(struct ds_tender *tender, int64_t now_ms)
{
    const struct ds_state *state = &tender->follower->keeper.state;
    const char *address;

    ds_restarts_tick(tender->restarts, state, now_ms);
    while ((address = ds_restarts_take(tender->restarts))) {
        struct ds_health *health = &ds_state_find(state, address)->health;

        ds_tender_log_restart(address);
        ds_pacer_note(&tender->pacer, DS_PACER_RESTART, now_ms);
        health->unclean = health->state == DS_HEALTH_HELD;
        for (size_t i = 0; i < tender->n_cleanings; i++) {
            if (strcmp(tender->cleanings[i].address, address) == 0)
                tender->cleanings[i].in_pass = false;
        }
    }
}

/* ---- a pass ---- */

/* looks: it needs no lock then, and changes nothing. */
static int start_child(struct ds_tender *tender, bool looks, int64_t now_ms,
                       struct ds_error *err)
{
    const char *args[ARGS_MAX] = {"dshard"};
    size_t n = 1;

    if (tender->config_path) {
        args[n++] = "--config";
        args[n++] = tender->config_path;
    }
    args[n++] = "groups";
    args[n++] = tender->mode == DS_GROUPS_MOVE ? "move" : "dedupe";
    args[n++] = "--once";
    args[n++] = "--output";
    args[n++] = "json";
    args[n++] = "--quiet";
    if (looks)
        args[n++] = "--dry-run";
    tender->looks = looks;
    tender->began_ms = now_ms;
    tender->until_ms = now_ms + PASS_MAX_MS;
    tender->unwanted = false;
    for (size_t i = 0; i < tender->n_cleanings; i++)
        tender->cleanings[i].in_pass = true;
    /* The program that we are, also after another version of it has been installed. */
    return ds_child_start(&tender->child, "/proc/self/exe", args, err);
}

static void begin_pass(struct ds_tender *tender, int64_t now_ms)
{
    struct ds_error err = DS_ERROR_INIT;

    ds_pacer_begin(&tender->pacer);
    if (start_child(tender, false, now_ms, &err) == 0)
        return;
    ds_tender_log_failure(&tender->log, DS_PASS_FAILED, err.text);
    ds_pacer_end(&tender->pacer,
                 &(struct ds_pacer_result){.end = DS_PASS_FAILED, .due_in_ms = INT64_MAX},
                 now_ms);
}

/* What ties is no stale copy for certain, and may tie for minutes. */
static void take_cleaned(struct ds_tender *tender, const struct ds_pass *pass)
{
    const struct ds_state *state = &tender->follower->keeper.state;

    for (size_t i = 0; i < tender->n_cleanings; i++) {
        const struct cleaning *cleaning = &tender->cleanings[i];
        const struct ds_pass_server *server = ds_pass_find(pass, cleaning->address);
        struct ds_standing *standing = ds_state_find(state, cleaning->address);

        if (cleaning->in_pass && server && server->reached &&
            server->n_copies <= server->n_ties && standing &&
            standing->health.since_ms == cleaning->since_ms)
            standing->health.unclean = false;
    }
}

/* What the child's exit status means.  One that has told what it saw did its pass, also
   when a server did not answer. */
static enum ds_pass_end judge(const struct ds_child *child, bool has_result)
{
    int status = ds_child_exit_status(child);

    if (has_result && status == 0)
        return DS_PASS_DONE;
    if (has_result && status == STATUS_FAILED)
        return DS_PASS_REFUSED;
    if (has_result && (status == STATUS_NO || status == STATUS_TEMP))
        return DS_PASS_WAITS;
    return status == STATUS_TEMP ? DS_PASS_BUSY : DS_PASS_FAILED;
}

/* Its result, if it has one. */
static int read_result(const struct ds_child *child, struct ds_pass *pass,
                       struct ds_error *err)
{
    if (ds_buf_check(&child->out, "the result", err) < 0)
        return -1;
    return ds_pass_parse(pass, child->out.data, child->out.len, err);
}

static void take_pass(struct ds_tender *tender, const struct ds_pass *pass,
                      struct ds_pacer_result *result, int64_t now_ms)
{
    bool is_refusal = result->end == DS_PASS_REFUSED;

    result->did_something = ds_pass_did_something(pass);
    result->waits = pass->n_waiting || pass->n_raced || pass->n_undone;
    result->in_place = pass->done && !pass->n_misplaced && !pass->n_copies;
    result->pause_ms = pass->pause_ms;
    if (pass->due_at_ms)
        result->due_in_ms = pass->due_at_ms - ds_clock_wall_ms();
    take_cleaned(tender, pass);
    ds_tender_log_pass(&tender->log, pass, &tender->follower->keeper.state,
                       now_ms - tender->began_ms);
    ds_tender_log_remark(&tender->log,
                         is_refusal && !pass->n_refusals ? &tender->child : NULL);
}

/* Somebody else has the lock, and may tend the groups as well as we do: who is held is
   let in when there is nothing to be cleaned any more.  False: no need to look. */
static bool begin_look(struct ds_tender *tender, int64_t now_ms)
{
    struct ds_error err = DS_ERROR_INIT;

    for (size_t i = 0; i < tender->n_cleanings; i++) {
        struct cleaning *cleaning = &tender->cleanings[i];

        if (!cleaning->said)
            ds_tender_log_held_up(cleaning->address, &tender->child);
        cleaning->said = true;
    }
    if (!tender->n_cleanings)
        return false;
    if (start_child(tender, true, now_ms, &err) == 0)
        return true;
    ds_tender_log_failure(&tender->log, DS_PASS_FAILED, err.text);
    return false;
}

/* The pass before it was not possible, and has been spoken of. */
static void finish_look(struct ds_tender *tender, int64_t now_ms)
{
    DS_AUTO(pass) struct ds_pass pass = {0};
    struct ds_error ignored = DS_ERROR_INIT; /* then it has seen nothing */

    if (read_result(&tender->child, &pass, &ignored) == 0)
        take_cleaned(tender, &pass);
    ds_pacer_end(&tender->pacer,
                 &(struct ds_pacer_result){.end = DS_PASS_BUSY,
                                           .holds_up = tender->n_cleanings > 0,
                                           .due_in_ms = INT64_MAX},
                 now_ms);
}

static void finish_pass(struct ds_tender *tender, int64_t now_ms)
{
    DS_AUTO(pass) struct ds_pass pass = {0};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_pacer_result result = {.due_in_ms = INT64_MAX};

    if (tender->unwanted)
        return;
    if (tender->looks) {
        finish_look(tender, now_ms);
        return;
    }
    result.end = judge(&tender->child, read_result(&tender->child, &pass, &err) == 0);
    if (result.end <= DS_PASS_REFUSED)
        take_pass(tender, &pass, &result, now_ms);
    else
        ds_tender_log_end(&tender->log, result.end, &tender->child, &err);
    if (result.end == DS_PASS_BUSY && begin_look(tender, now_ms))
        return;
    for (size_t i = 0; i < tender->n_cleanings; i++)
        tender->cleanings[i].in_pass = false;
    ds_pacer_end(&tender->pacer, &result, now_ms);
}

/* The child reads the state from the file, which is to be the one that we go by. */
static bool may_begin(const struct ds_tender *tender)
{
    const struct ds_follower *follower = tender->follower;

    return !tender->child.pid && follower->published && !follower->dirty &&
           !follower->write_failed;
}

void ds_tender_step(struct ds_tender *tender)
{
    int64_t now_ms = ds_clock_mono_ms();

    if (ds_child_tend(&tender->child))
        finish_pass(tender, now_ms);
    if (tender->child.pid && now_ms >= tender->until_ms)
        ds_child_signal(&tender->child, SIGKILL);
    set_mode(tender, now_ms);
    if (tender->mode == DS_GROUPS_OFF)
        return;
    note_ring(tender, now_ms);
    note_held(tender, now_ms);
    note_restarts(tender, now_ms);
    if (may_begin(tender) && now_ms >= ds_pacer_due_ms(&tender->pacer))
        begin_pass(tender, now_ms);
}

size_t ds_tender_fds(const struct ds_tender *tender, int fds[DS_CHILD_FDS_MAX])
{
    return ds_child_fds(&tender->child, fds);
}

int64_t ds_tender_next_ms(const struct ds_tender *tender)
{
    int64_t restarts_ms, due_ms;

    if (tender->mode == DS_GROUPS_OFF)
        return INT64_MAX;
    restarts_ms = ds_restarts_next_ms(tender->restarts);
    /* Without a good state on disk the follower's next write comes first. */
    due_ms = may_begin(tender) ? ds_pacer_due_ms(&tender->pacer) : INT64_MAX;
    return restarts_ms < due_ms ? restarts_ms : due_ms;
}
