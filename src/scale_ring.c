/* SPDX-License-Identifier: Apache-2.0 */
/* scale_ring.c - newcomers become members and those that leave become none, until every
   frontend applies that. */
#include "dshard/accord.h"
#include "dshard/clock.h"
#include "dshard/keeper.h"
#include "dshard/watch.h"
#include "scale_impl.h"

enum { RING_MS = 60000, POLL_MS = 100, NAMES_MAX = 1024 };

/* The first server that is not where it should be; NULL: all are. */
static const struct ds_scale_server *first_astray(const struct ds_scale *scale,
                                                  const struct ds_state *state,
                                                  bool drained)
{
    for (size_t i = 0; i < scale->n_add; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, scale->add[i].server.address);

        if (!standing || !standing->member)
            return &scale->add[i];
    }
    for (size_t i = 0; drained && i < scale->n_remove; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, scale->remove[i].server.address);

        if (standing && standing->member)
            return &scale->remove[i];
    }
    return NULL;
}

static int fail_astray(const struct ds_scale_server *item, const struct ds_state *state,
                       struct ds_error *err)
{
    const char *address = item->server.address;
    const struct ds_standing *standing = ds_state_find(state, address);

    if (standing && standing->member)
        return ds_fail(err, DS_E_TEMP, "%s is still a member", address);
    return ds_fail(err, DS_E_TEMP, "%s has not become a member: it is %s%s%s", address,
                   standing ? ds_health_name(standing->health.state) : "not known",
                   standing && standing->health.why[0] ? ": " : "",
                   standing ? standing->health.why : "");
}

/* ---- frontends ---- */

/* The names of those that apply another ring. */
static int find_behind(const struct ds_scale *scale, const char *digest,
                       struct ds_buf *names, struct ds_error *err)
{
    DS_AUTO(frontends) struct ds_frontends frontends = {0};

    if (!scale->config->consul)
        return 0;
    if (ds_frontends_list(scale->config, scale->options.timeout_ms, &frontends, err) < 0)
        return -1;
    for (size_t i = 0; i < frontends.n; i++) {
        if (strcmp(frontends.items[i].digest, digest) != 0)
            ds_buf_addf(names, "%s%s", names->len ? ", " : "", frontends.items[i].name);
    }
    return 0;
}

int ds_scale_meet_frontends(struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(frontends) struct ds_frontends frontends = {0};

    if (!scale->config->consul)
        return 0;
    if (ds_frontends_list(scale->config, scale->options.timeout_ms, &frontends, err) < 0)
        return -1;
    scale->frontends = ds_xcalloc(frontends.n, sizeof *scale->frontends);
    for (size_t i = 0; i < frontends.n; i++)
        scale->frontends[scale->n_frontends++] = ds_xstrdup(frontends.items[i].name);
    return 0;
}

static bool is_there(const struct ds_frontends *frontends, const char *name)
{
    for (size_t i = 0; i < frontends->n; i++) {
        if (strcmp(frontends->items[i].name, name) == 0)
            return true;
    }
    return false;
}

/* The entry of a watch that hangs ends with its session; its handler serves on. */
static int name_lost_frontends(const struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(frontends) struct ds_frontends frontends = {0};

    if (!scale->n_frontends)
        return 0;
    if (ds_frontends_list(scale->config, scale->options.timeout_ms, &frontends, err) < 0)
        return -1;
    for (size_t i = 0; i < scale->n_frontends; i++) {
        if (!is_there(&frontends, scale->frontends[i]))
            ds_scale_warn(scale,
                          "frontend %s no longer tells which ring it applies: if it "
                          "still serves, it uses an old one; look at its watch",
                          scale->frontends[i]);
    }
    return 0;
}

/* One look: 1: all is as it should be; 0: not yet, and why is in err; -1: it cannot be
   told now, and why is in err. */
static int look(struct ds_scale *scale, bool drained, struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(buf) struct ds_buf names = DS_BUF_INIT(NAMES_MAX);
    const struct ds_scale_server *astray;

    if (ds_state_load(&state, scale->config->state_file, err) < 0)
        return -1;
    astray = first_astray(scale, &state, drained);
    if (astray) {
        fail_astray(astray, &state, err);
        return 0;
    }
    if (find_behind(scale, state.digest, &names, err) < 0)
        return -1;
    if (!names.len && !names.over)
        return 1;
    ds_fail(err, DS_E_TEMP, "these frontends do not apply the new ring yet: %s%s",
            names.data, names.over ? "..." : "");
    return 0;
}

/* Without a watch this command does what it would do. */
static void follow(struct ds_scale *scale)
{
    struct ds_watch_options options = {0};
    struct ds_error ignored = DS_ERROR_INIT; /* the next look tells */

    if (!ds_keeper_is_claimed(scale->config->state_file))
        ds_ignore(ds_watch_once(scale->config, &options, &ignored) < 0);
}

int ds_scale_await_ring(struct ds_scale *scale, bool drained, struct ds_error *err)
{
    int64_t deadline_ms = ds_clock_mono_ms() + RING_MS;

    for (;;) {
        struct ds_error why = DS_ERROR_INIT;
        int found;

        follow(scale);
        found = look(scale, drained, &why);
        if (found > 0)
            return 0;
        if (ds_clock_mono_ms() >= deadline_ms) {
            *err = why;
            return -1;
        }
        if (ds_scale_may_go_on(scale, err) < 0)
            return -1;
        ds_scale_tend(scale, true);
        ds_clock_sleep_ms(POLL_MS);
    }
}

static bool is_any(const struct ds_scale_server *server)
{
    (void)server;
    return true;
}

static bool is_to_drain(const struct ds_scale_server *server)
{
    return server->was != DS_INTENT_OUT;
}

/* First in, then out: the ring is never the smaller one of the two. */
int ds_scale_turn(struct ds_scale *scale, struct ds_error *err)
{
    if (ds_scale_enter(scale, "changing the ring", true, err) < 0 ||
        ds_scale_apply(scale, DS_ACT_ADMIT, scale->add, scale->n_add, is_any, err) < 0 ||
        ds_scale_await_ring(scale, false, err) < 0 ||
        ds_scale_apply(scale, DS_ACT_DRAIN, scale->remove, scale->n_remove, is_to_drain,
                       err) < 0)
        return -1;
    return ds_scale_await_ring(scale, true, err) < 0 ? -1
                                                     : name_lost_frontends(scale, err);
}
