/* SPDX-License-Identifier: Apache-2.0 */
/* see aim.h */
#include "dshard/aim.h"

#define MORE " ..."

enum goal { NONE, UP, DOWN, TO, DRAIN };

static const struct {
    const char *kind;
    enum goal goal;
} kinds[] = {{"scale up", UP}, {"scale down", DOWN}, {"scale to", TO}, {"drain", DRAIN}};

/* *servers: what stands behind the command's name. */
static enum goal goal_of(const char *kind, const char **servers)
{
    kind = kind ? kind : "";
    for (size_t i = 0; i < DS_COUNT(kinds); i++) {
        size_t len = strlen(kinds[i].kind);

        *servers = kind + len;
        if (strncmp(kind, kinds[i].kind, len) == 0 && (!kind[len] || kind[len] == ' '))
            return kinds[i].goal;
    }
    return NONE;
}

static bool is_cut(const char *servers)
{
    size_t len = strlen(servers);

    return len >= strlen(MORE) && strcmp(servers + len - strlen(MORE), MORE) == 0;
}

static bool is_named(const char *servers, const char *address)
{
    size_t len = strlen(address);

    for (const char *at = servers; (at = strstr(at, address)); at += len) {
        if (at > servers && at[-1] == ' ' && (at[len] == ' ' || !at[len]))
            return true;
    }
    return false;
}

/* What one server leaves to do.  Who is `out` or unknown may never have been touched, or
   an operator wants it so: both are the end of it. */
static enum ds_aim judge(enum goal goal, bool named, enum ds_intent intent)
{
    if (goal == TO)
        goal = named ? UP : DOWN;
    else if (!named)
        return DS_AIM_OVER;
    if (goal == UP && intent == DS_INTENT_JOINING)
        return DS_AIM_OPEN;
    if (goal == UP && intent == DS_INTENT_IN)
        return DS_AIM_GROUPS;
    if (goal != UP && intent == DS_INTENT_DRAINING)
        return goal == DOWN ? DS_AIM_OPEN : DS_AIM_GROUPS;
    return DS_AIM_OVER;
}

enum ds_aim ds_aim_of(const struct ds_state *state)
{
    enum ds_aim result = DS_AIM_OVER;
    const char *servers;
    enum goal goal = goal_of(state->operation_kind, &servers);

    if (goal == NONE)
        return DS_AIM_NONE;
    /* Without all the names the state cannot show that it is over. */
    if (!servers[0] || (goal == TO && is_cut(servers)))
        return DS_AIM_OPEN;
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        enum ds_aim one =
            judge(goal, is_named(servers, standing->server.address), standing->intent);

        result = one < result ? one : result;
    }
    return result;
}

bool ds_aim_is_servers(const char *kind)
{
    const char *servers;

    return goal_of(kind, &servers) != NONE;
}

char *ds_aim_kind(const char *kind, const char *const *servers, size_t n)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(DS_AIM_KIND_MAX + 1);

    ds_buf_adds(&out, kind);
    for (size_t i = 0; i < n; i++) {
        size_t spare = i + 1 < n ? strlen(MORE) : 0;

        if (out.len + 1 + strlen(servers[i]) + spare > DS_AIM_KIND_MAX) {
            ds_buf_adds(&out, MORE);
            break;
        }
        ds_buf_addf(&out, " %s", servers[i]);
    }
    return ds_buf_steal(&out);
}

/* The other way out, for those that stand between two intents. */
static void add_way_back(const struct ds_state *state, const char *servers,
                         enum ds_intent intent, const char *command, struct ds_buf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        const char *address = state->servers[i].server.address;

        if (state->servers[i].intent != intent || !is_named(servers, address))
            continue;
        if (!n++)
            ds_buf_addf(out, ", or give it up: dshard %s", command);
        ds_buf_addf(out, " %s", address);
    }
}

void ds_aim_add_advice(const struct ds_state *state, struct ds_buf *out)
{
    const char *servers;
    enum goal goal = goal_of(state->operation_kind, &servers);

    ds_buf_adds(out, "run it again");
    if (goal == NONE || (servers[0] && !is_cut(servers)))
        ds_buf_addf(out, ": dshard %s%s", state->operation_kind,
                    goal == DRAIN ? " --wait" : "");
    if (goal == UP || goal == TO)
        add_way_back(state, servers, DS_INTENT_JOINING, "deregister", out);
    if (goal == DOWN)
        add_way_back(state, servers, DS_INTENT_DRAINING, "undrain", out);
}
