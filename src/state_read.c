/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_read.c - a state from its file's text.  Nothing is believed: every key must be
 * there and no other, every value is checked, and what contradicts another is refused.
 */
#include "dshard/state.h"
#include "dshard/utf8.h"
#include "state_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 1024, WORD_SHOWN = 40 }; /* bytes of a reason, a step, a name */
static const int64_t TIME_MAX_MS = INT64_C(1) << 53; /* what JSON numbers hold exactly */

/* ---- checks of single values ---- */

static int in_range(json_int_t value, const char *key, int64_t min, int64_t max,
                    struct ds_error *err)
{
    if (value < min || value > max)
        return ds_fail(err, DS_E_FORMAT,
                       "\"%s\" is %" JSON_INTEGER_FORMAT ": %" PRId64 " to %" PRId64
                       " is expected",
                       key, value, min, max);
    return 0;
}

static int is_time(json_int_t value, const char *key, struct ds_error *err)
{
    return in_range(value, key, 0, TIME_MAX_MS, err);
}

/* Texts are shown on terminals: one line, no escape sequences. */
static int is_short(const char *text, const char *key, size_t max, struct ds_error *err)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7F)
            return ds_fail(err, DS_E_FORMAT, "\"%s\" has a control character", key);
    }
    if (strlen(text) > max)
        return ds_fail(err, DS_E_FORMAT, "\"%s\" is longer than %zu bytes", key, max);
    return 0;
}

static int bad_word(const char *key, const char *value, struct ds_error *err)
{
    char shown[WORD_SHOWN];

    ds_utf8_clean(shown, sizeof shown, value, strlen(value));
    return ds_fail(err, DS_E_FORMAT, "\"%s\" is '%s', which is none of its values", key,
                   shown);
}

static int is_canonical(const char *address, struct ds_error *err)
{
    struct ds_error why = DS_ERROR_INIT;
    char canonical[DS_ADDRESS_MAX];

    if (ds_address_parse(canonical, address, 0, &why) < 0)
        return ds_fail(err, DS_E_FORMAT, "%s", why.text);
    if (strcmp(canonical, address) != 0)
        return ds_fail(err, DS_E_FORMAT, "'%s' should be written '%s'", address,
                       canonical);
    return 0;
}

static int parse_flaps(const json_t *flaps, struct ds_health *health,
                       struct ds_error *err)
{
    size_t n = json_array_size(flaps);

    if (!json_is_array(flaps) || n > DS_FLAPS_MAX)
        return ds_fail(err, DS_E_FORMAT, "\"flaps\" wants a list of at most %d times",
                       DS_FLAPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *flap = json_array_get(flaps, i);

        if (!json_is_integer(flap))
            return ds_fail(err, DS_E_FORMAT, "\"flaps\" wants whole numbers");
        if (is_time(json_integer_value(flap), "flaps", err) < 0)
            return -1;
        health->flaps[i] = json_integer_value(flap);
    }
    health->n_flaps = n;
    return 0;
}

static int parse_server(json_t *json, struct ds_standing *out, struct ds_error *err)
{
    const char *address, *intent, *health, *why;
    json_int_t weight, since, hold_until;
    json_t *flaps;
    int member;

    if (ds_state_unpack(json, DS_STATE_SERVER, err, "{ss,sI,ss,ss,sb,sI,sI,so,ss}",
                        "address", &address, "weight", &weight, "intent", &intent,
                        "health", &health, "member", &member, "since", &since,
                        "hold_until", &hold_until, "flaps", &flaps, "why", &why) < 0)
        return -1;
    if (is_canonical(address, err) < 0 ||
        in_range(weight, "weight", 1, DS_WEIGHT_MAX, err) < 0 ||
        is_time(since, "since", err) < 0 || is_time(hold_until, "hold_until", err) < 0 ||
        is_short(why, "why", DS_WHY_MAX - 1, err) < 0)
        return -1;
    if (ds_intent_parse(intent, &out->intent) < 0)
        return bad_word("intent", intent, err);
    if (ds_health_parse(health, &out->health.state) < 0)
        return bad_word("health", health, err);
    if (hold_until && out->health.state != DS_HEALTH_HELD)
        return ds_fail(err, DS_E_FORMAT, "\"hold_until\" is set and \"health\" is '%s'",
                       health);
    memcpy(out->server.address, address, strlen(address) + 1);
    memcpy(out->health.why, why, strlen(why) + 1);
    out->server.weight = (unsigned)weight;
    out->health.since_ms = since;
    out->health.hold_until_ms = hold_until;
    out->member = member != 0;
    out->ring_weight = member ? (unsigned)weight : 0;
    return parse_flaps(flaps, &out->health, err);
}

static int parse_servers(const json_t *list, struct ds_state *state, struct ds_error *err)
{
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n > DS_SERVERS_MAX)
        return ds_fail(err, DS_E_FORMAT, "\"servers\" wants a list of at most %d",
                       DS_SERVERS_MAX);
    state->servers = ds_xcalloc(n, sizeof *state->servers);
    state->n_servers = n;
    for (size_t i = 0; i < n; i++) {
        if (parse_server(json_array_get(list, i), &state->servers[i], err) < 0)
            return ds_wrap(err, "\"servers\"[%zu]", i);
        if (state->servers[i].member && !state->generation)
            return ds_fail(err, DS_E_FORMAT,
                           "\"servers\"[%zu] is a member, but \"generation\" is 0", i);
        if (i && ds_standing_compare(&state->servers[i - 1], &state->servers[i]) >= 0)
            return ds_fail(err, DS_E_FORMAT,
                           "\"servers\"[%zu]: '%s' is there twice or not in order", i,
                           state->servers[i].server.address);
    }
    return 0;
}

static int parse_names(const json_t *list, const char *key, char (**out)[DS_ADDRESS_MAX],
                       size_t *n_out, struct ds_error *err)
{
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n > DS_SERVERS_MAX)
        return ds_fail(err, DS_E_FORMAT, "\"%s\" wants a list of at most %d", key,
                       DS_SERVERS_MAX);
    *out = n ? ds_xcalloc(n, sizeof **out) : NULL;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (!name)
            return ds_fail(err, DS_E_FORMAT, "\"%s\" wants strings", key);
        if (is_canonical(name, err) < 0)
            return -1;
        memcpy((*out)[i], name, strlen(name) + 1);
    }
    *n_out = n;
    return 0;
}

static int parse_change(json_t *json, struct ds_change *out, struct ds_error *err)
{
    json_int_t at, generation, moved;
    json_t *added, *removed;
    const char *cause;

    if (ds_state_unpack(json, DS_STATE_CHANGE, err, "{sI,ss,sI,sI,so,so}", "at", &at,
                        "cause", &cause, "generation", &generation, "moved_ppm", &moved,
                        "added", &added, "removed", &removed) < 0)
        return -1;
    if (is_time(at, "at", err) < 0 ||
        in_range(generation, "generation", 1, TIME_MAX_MS, err) < 0 ||
        in_range(moved, "moved_ppm", 0, 1000000, err) < 0)
        return -1;
    if (ds_cause_parse(cause, &out->cause) < 0)
        return bad_word("cause", cause, err);
    out->at_ms = at;
    out->generation = (uint64_t)generation;
    out->moved_ppm = (uint32_t)moved;
    if (parse_names(added, "added", &out->added, &out->n_added, err) < 0)
        return -1;
    return parse_names(removed, "removed", &out->removed, &out->n_removed, err);
}

static int parse_history(const json_t *list, struct ds_state *state, struct ds_error *err)
{
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n > DS_HISTORY_MAX)
        return ds_fail(err, DS_E_FORMAT, "\"history\" wants a list of at most %d",
                       DS_HISTORY_MAX);
    for (size_t i = 0; i < n; i++) {
        state->n_history = i + 1;
        if (parse_change(json_array_get(list, i), &state->history[i], err) < 0)
            return ds_wrap(err, "\"history\"[%zu]", i);
    }
    return 0;
}

static int parse_frozen(json_t *json, struct ds_state *state, struct ds_error *err)
{
    json_int_t since;
    const char *reason;

    if (json_is_null(json))
        return 0;
    if (ds_state_unpack(json, DS_STATE_FROZEN, err, "{ss,sI}", "reason", &reason, "since",
                        &since) < 0)
        return -1;
    if (is_time(since, "since", err) < 0 || is_short(reason, "reason", TEXT_MAX, err) < 0)
        return -1;
    state->frozen_reason = ds_xstrdup(reason);
    state->frozen_since_ms = since;
    return 0;
}

static int parse_operation(json_t *json, struct ds_state *state, struct ds_error *err)
{
    const char *kind, *step, *by;
    json_int_t since;

    if (json_is_null(json))
        return 0;
    if (ds_state_unpack(json, DS_STATE_OPERATION, err, "{ss,ss,ss,sI}", "kind", &kind,
                        "step", &step, "by", &by, "since", &since) < 0)
        return -1;
    if (is_time(since, "since", err) < 0 || is_short(kind, "kind", TEXT_MAX, err) < 0 ||
        is_short(step, "step", TEXT_MAX, err) < 0 ||
        is_short(by, "by", TEXT_MAX, err) < 0)
        return -1;
    state->operation_kind = ds_xstrdup(kind);
    state->operation_step = ds_xstrdup(step);
    state->operation_by = ds_xstrdup(by);
    state->operation_since_ms = since;
    return 0;
}

static int parse_scheme(const char *scheme, const char *prefix, struct ds_state *state,
                        struct ds_error *err)
{
    size_t len = strlen(prefix);

    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        return bad_word("scheme", scheme, err);
    memcpy(state->scheme, scheme, strlen(scheme) + 1);
    if (is_short(prefix, "route_prefix", TEXT_MAX, err) < 0)
        return -1;
    if (len && (prefix[0] != '/' || prefix[len - 1] == '/'))
        return ds_fail(
            err, DS_E_FORMAT,
            "\"route_prefix\" is '%s': it begins with / and does not end with it",
            prefix);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)prefix[i];

        if (c <= ' ' || c >= 0x7F || strchr("?#%\\\"", c))
            return ds_fail(err, DS_E_FORMAT,
                           "\"route_prefix\" has a character that no path has");
    }
    ds_set_str(&state->route_prefix, prefix);
    return 0;
}

static int check_points(const struct ds_state *state, struct ds_error *err)
{
    uint64_t points = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        if (state->servers[i].member)
            points += (uint64_t)state->replicas * state->servers[i].server.weight;
    }
    if (points > DS_POINTS_MAX)
        return ds_fail(err, DS_E_FORMAT, "%" PRIu64 " points are more than %d", points,
                       DS_POINTS_MAX);
    return 0;
}

static int check_digest(const struct ds_state *state, const char *digest,
                        struct ds_error *err)
{
    char computed[DS_DIGEST_MAX];
    size_t n;
    DS_AUTO(ptr) void *members = ds_state_members(state, &n);

    ds_ring_digest(members, n, state->replicas, computed);
    if (strcmp(computed, digest) != 0) {
        char shown[WORD_SHOWN];

        ds_utf8_clean(shown, sizeof shown, digest, strlen(digest));
        return ds_fail(err, DS_E_FORMAT, "\"digest\" is '%s', but its members give '%s'",
                       shown, computed);
    }
    return 0;
}

static int parse_root(json_t *root, struct ds_state *state, struct ds_error *err)
{
    json_t *frozen, *history, *operation, *servers;
    json_int_t format, checked_at, generation, replicas, written_at;
    const char *digest, *prefix, *scheme, *source, *written_by;

    if (ds_state_unpack(root, DS_STATE_ROOT, err,
                        "{sI,sI,ss,so,sI,so,so,sI,ss,ss,so,ss,sI,ss}", "format", &format,
                        "checked_at", &checked_at, "digest", &digest, "frozen", &frozen,
                        "generation", &generation, "history", &history, "operation",
                        &operation, "replicas", &replicas, "route_prefix", &prefix,
                        "scheme", &scheme, "servers", &servers, "source", &source,
                        "written_at", &written_at, "written_by", &written_by) < 0)
        return -1;
    if (is_time(checked_at, "checked_at", err) < 0 ||
        is_time(written_at, "written_at", err) < 0 ||
        in_range(generation, "generation", 0, TIME_MAX_MS, err) < 0 ||
        in_range(replicas, "replicas", 1, DS_REPLICAS_MAX, err) < 0 ||
        is_short(written_by, "written_by", TEXT_MAX, err) < 0)
        return -1;
    if (strcmp(source, "consul") != 0 && strcmp(source, "standalone") != 0)
        return bad_word("source", source, err);
    state->consul = strcmp(source, "consul") == 0;
    state->checked_at_ms = checked_at;
    state->written_at_ms = written_at;
    state->generation = (uint64_t)generation;
    state->replicas = (unsigned)replicas;
    ds_set_str(&state->written_by, written_by);
    if (parse_scheme(scheme, prefix, state, err) < 0 ||
        parse_servers(servers, state, err) < 0 || parse_history(history, state, err) < 0)
        return -1;
    if (parse_frozen(frozen, state, err) < 0)
        return ds_wrap(err, "\"frozen\"");
    if (parse_operation(operation, state, err) < 0)
        return ds_wrap(err, "\"operation\"");
    if (check_points(state, err) < 0 || check_digest(state, digest, err) < 0)
        return -1;
    memcpy(state->digest, digest, DS_DIGEST_MAX);
    return 0;
}

/* ---- whole files ---- */

/* Takes "checksum" out of root. */
static int check_checksum(json_t *root, struct ds_error *err)
{
    DS_AUTO(json) json_t *stored = json_incref(json_object_get(root, "checksum"));
    char computed[DS_DIGEST_MAX];

    if (!json_is_string(stored))
        return ds_fail(err, DS_E_FORMAT, "\"checksum\" is missing or no string");
    json_object_del(root, "checksum");
    ds_state_checksum(root, computed);
    if (strcmp(json_string_value(stored), computed) != 0)
        return ds_fail(err, DS_E_FORMAT,
                       "the checksum is wrong: it was damaged or changed by hand");
    return 0;
}

int ds_state_parse(struct ds_state *state, const char *text, size_t len,
                   struct ds_error *err)
{
    DS_AUTO(json) json_t *root = NULL;

    ds_state_init(state);
    root = ds_state_text_to_json(text, len, err);
    if (!root)
        return -1;
    if (check_checksum(root, err) < 0 || parse_root(root, state, err) < 0) {
        ds_state_release(state);
        ds_state_init(state);
        return -1;
    }
    return 0;
}
