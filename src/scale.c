/* SPDX-License-Identifier: Apache-2.0 */
/* see scale.h; checks are in scale_check.c, steps 2 and 3 in scale_join.c, step 4 in
   scale_ring.c, 5 and 6 in scale_move.c; scale_tend.c is for all that wait */
#include "dshard/scale.h"
#include "dshard/operation.h"
#include "dshard/pushgateway.h"
#include "scale_impl.h"

#include <stdlib.h>

enum { WARN_MAX = 4096 };

int ds_scale_init(struct ds_scale *scale, struct ds_config *config,
                  struct ds_registry *registry, const char *kind, struct ds_error *err)
{
    *scale = (struct ds_scale){.config = config, .registry = registry, .kind = kind};
    ds_mover_report_init(&scale->report);
    ds_mover_report_init(&scale->tended);
    return registry->ops->list(registry, &scale->known, err);
}

void ds_scale_release(struct ds_scale *scale)
{
    free(scale->add);
    free(scale->remove);
    free(scale->command);
    ds_state_release(&scale->known);
    ds_fleet_lock_free(scale->lock);
    ds_mover_report_release(&scale->report);
    ds_mover_report_release(&scale->tended);
    for (size_t i = 0; i < scale->n_missing; i++)
        free(scale->missing[i]);
    free(scale->missing);
    for (size_t i = 0; i < scale->n_frontends; i++)
        free(scale->frontends[i]);
    free(scale->frontends);
    *scale = (struct ds_scale){0};
}

void ds_auto_scale(struct ds_scale *scale)
{
    ds_scale_release(scale);
}

static void append(struct ds_scale *scale, struct ds_scale_server **list, size_t *n,
                   const struct ds_server *server)
{
    const struct ds_standing *standing = ds_state_find(&scale->known, server->address);

    *list = ds_xreallocarray(*list, *n + 1, sizeof **list);
    (*list)[(*n)++] = (struct ds_scale_server){
        .server = *server,
        .was = standing ? standing->intent : DS_INTENT_OUT,
        .known = standing || ds_config_lists(scale->config, server->address),
    };
}

void ds_scale_add(struct ds_scale *scale, const struct ds_server *server)
{
    append(scale, &scale->add, &scale->n_add, server);
}

void ds_scale_remove(struct ds_scale *scale, const struct ds_server *server)
{
    append(scale, &scale->remove, &scale->n_remove, server);
}

bool ds_scale_is_newcomer(const struct ds_scale_server *server)
{
    return server->was == DS_INTENT_OUT || server->was == DS_INTENT_JOINING;
}

static bool is_among(const struct ds_scale_server *servers, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++) {
        if (ds_address_equal(servers[i].server.address, address))
            return true;
    }
    return false;
}

struct ds_server *ds_scale_members_after(const struct ds_scale *scale,
                                         const struct ds_state *state, size_t *n)
{
    struct ds_server *members =
        ds_xcalloc(state->n_servers + scale->n_add, sizeof *members);

    *n = 0;
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        const char *address = standing->server.address;

        if (standing->member && !is_among(scale->remove, scale->n_remove, address) &&
            !is_among(scale->add, scale->n_add, address))
            members[(*n)++] = standing->server;
    }
    for (size_t i = 0; i < scale->n_add; i++)
        members[(*n)++] = scale->add[i].server;
    qsort(members, *n, sizeof *members, ds_server_compare);
    return members;
}

/* ---- telling ---- */

void ds_scale_warn(const struct ds_scale *scale, const char *fmt, ...)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(WARN_MAX);
    va_list ap;

    va_start(ap, fmt);
    ds_buf_vaddf(&text, fmt, ap);
    va_end(ap);
    if (scale->hooks.warn)
        scale->hooks.warn(scale->hooks.arg, text.data);
}

void ds_scale_note(const struct ds_scale *scale, const char *fmt, ...)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(WARN_MAX);
    va_list ap;

    va_start(ap, fmt);
    ds_buf_vaddf(&text, fmt, ap);
    va_end(ap);
    if (scale->hooks.note)
        scale->hooks.note(scale->hooks.arg, text.data);
}

int ds_scale_may_go_on(struct ds_scale *scale, struct ds_error *err)
{
    if (scale->hooks.stop && scale->hooks.stop(scale->hooks.stop_arg))
        return ds_fail(err, DS_E_TEMP, "stopped");
    return ds_fleet_lock_check(scale->lock, err);
}

int ds_scale_enter(struct ds_scale *scale, const char *what, bool shown,
                   struct ds_error *err)
{
    if (shown)
        scale->step++;
    if (shown && scale->hooks.step)
        scale->hooks.step(scale->hooks.arg, scale->step, scale->n_steps, what);
    if (ds_scale_may_go_on(scale, err) < 0)
        return -1;
    return ds_operation_set(scale->config->state_file,
                            scale->command ? scale->command : scale->kind, what, err);
}

/* ---- writing ---- */

int ds_scale_apply(struct ds_scale *scale, enum ds_act_kind kind,
                   const struct ds_scale_server *servers, size_t n,
                   ds_scale_pick_fn *wanted, struct ds_error *err)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(n, sizeof(struct ds_act));
    DS_AUTO(state) struct ds_state known = {0};
    struct ds_act *acts = list;
    size_t n_acts = 0;

    for (size_t i = 0; i < n; i++) {
        if (wanted(&servers[i]))
            acts[n_acts++] = (struct ds_act){.server = servers[i].server, .kind = kind};
    }
    if (!n_acts)
        return 0;
    /* Steps before, and others, have changed what it goes by. */
    if (scale->registry->ops->list(scale->registry, &known, err) < 0 ||
        scale->registry->ops->apply(scale->registry, acts, n_acts, err) < 0)
        return -1;
    for (size_t i = 0; i < n_acts; i++) {
        if (acts[i].err.code == DS_OK)
            continue;
        *err = acts[i].err;
        return ds_wrap(err, "%s", acts[i].server.address);
    }
    return 0;
}

static void *servers_of(const struct ds_scale_server *servers, size_t n)
{
    struct ds_server *list = ds_xcalloc(n, sizeof *list);

    for (size_t i = 0; i < n; i++)
        list[i] = servers[i].server;
    return list;
}

void ds_scale_edit(const struct ds_scale *scale, enum ds_scale_edit which,
                   struct ds_confedit *edit, void **add_list, void **remove_list)
{
    *edit = (struct ds_confedit){0};
    if (which != DS_SCALE_EDIT_REMOVE) {
        *add_list = servers_of(scale->add, scale->n_add);
        edit->add = *add_list;
        edit->n_add = scale->n_add;
    }
    if (which != DS_SCALE_EDIT_ADD) {
        *remove_list = servers_of(scale->remove, scale->n_remove);
        edit->remove = *remove_list;
        edit->n_remove = scale->n_remove;
    }
}

/* ---- the whole ---- */

static bool is_in_registry(const struct ds_scale_server *server)
{
    return server->was != DS_INTENT_OUT;
}

static int say_goodbye(struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(ptr) void *add_list = NULL;
    DS_AUTO(ptr) void *remove_list = NULL;
    struct ds_confedit edit;
    bool changed;

    if (!scale->n_remove)
        return 0;
    if (ds_scale_enter(scale, "deregistering", true, err) < 0 ||
        ds_scale_apply(scale, DS_ACT_DEREGISTER, scale->remove, scale->n_remove,
                       is_in_registry, err) < 0)
        return -1;
    ds_scale_edit(scale, DS_SCALE_EDIT_REMOVE, &edit, &add_list, &remove_list);
    return ds_confedit_file(scale->config->path, &edit, &changed, err);
}

static int run_steps(struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(census) struct ds_census before = {0};

    if (ds_scale_meet_frontends(scale, err) < 0 ||
        ds_scale_look(scale, &scale->report, err) < 0 ||
        ds_pushgateway_check_twins(scale->config, scale->report.inventories,
                                   scale->report.n_servers, scale->options.timeout_ms,
                                   err) < 0)
        return -1;
    ds_scale_take_census(&before, &scale->report);
    if (ds_scale_join(scale, err) < 0 || ds_scale_turn(scale, err) < 0 ||
        ds_scale_move(scale, &before, err) < 0)
        return -1;
    return say_goodbye(scale, err);
}

static unsigned count_steps(const struct ds_scale *scale)
{
    unsigned n = 3; /* the ring, moving, verifying */

    for (size_t i = 0; i < scale->n_add; i++) {
        if (ds_scale_is_newcomer(&scale->add[i])) {
            n += scale->options.settle_ms ? 2 : 1;
            break;
        }
    }
    return scale->n_remove ? n + 1 : n;
}

int ds_scale_run(struct ds_scale *scale, struct ds_error *err)
{
    struct ds_error ignored = DS_ERROR_INIT; /* the first failure counts */
    int rc;

    scale->step = 0;
    scale->n_steps = count_steps(scale);
    scale->lock =
        ds_fleet_lock_take(scale->config, scale->kind, scale->options.lock_ms, err);
    if (!scale->lock)
        return err->code == DS_E_TEMP
                   ? ds_wrap(err, "wait until that has ended, or longer with --timeout")
                   : -1;
    rc = run_steps(scale, err);
    scale->done = rc == 0;
    if (rc < 0 && err->code == DS_E_TEMP)
        ds_wrap(err, "not finished; the same command run again completes it");
    if (rc < 0)
        ds_ignore(ds_operation_leave(scale->config->state_file, &ignored));
    else
        rc = ds_operation_end(scale->config->state_file, err);
    ds_fleet_lock_free(scale->lock);
    scale->lock = NULL;
    return rc;
}
