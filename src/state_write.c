/* SPDX-License-Identifier: Apache-2.0 */
/* state_write.c - from the struct to the state file's text: compact, keys sorted. */
#include "dshard/state.h"
#include "state_json.h"

void ds_state_checksum(const json_t *root, char out[DS_DIGEST_MAX])
{
    DS_AUTO(str) char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);

    ds_murmur3_digest(text ? text : "", text ? strlen(text) : 0, out);
}

/* Takes both.  NULL when either is: a text that is not UTF-8 spoils the whole file, or it
   would be written without what the text belongs to. */
static json_t *append(json_t *list, json_t *item)
{
    if (list && json_array_append_new(list, item) == 0)
        return list;
    if (!list)
        json_decref(item);
    json_decref(list);
    return NULL;
}

static json_t *format_names(char (*names)[DS_ADDRESS_MAX], size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        list = append(list, json_string(names[i]));
    return list;
}

static json_t *format_history(const struct ds_state *state, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        const struct ds_change *change = &state->history[i];

        list = append(list,
                      json_pack("{sI,ss,sI,sI,so,so}", "at", (json_int_t)change->at_ms,
                                "cause", ds_cause_name(change->cause), "generation",
                                (json_int_t)change->generation, "moved_ppm",
                                (json_int_t)change->moved_ppm, "added",
                                format_names(change->added, change->n_added), "removed",
                                format_names(change->removed, change->n_removed)));
    }
    return list;
}

static json_t *format_servers(const struct ds_state *state)
{
    json_t *list = json_array();

    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        const struct ds_health *health = &standing->health;
        json_t *flaps = json_array();

        for (size_t k = 0; k < health->n_flaps; k++)
            json_array_append_new(flaps, json_integer(health->flaps[k]));
        list = append(list, json_pack("{ss,sI,ss,ss,sb,sI,sI,so,ss}", "address",
                                      standing->server.address, "weight",
                                      (json_int_t)standing->server.weight, "intent",
                                      ds_intent_name(standing->intent), "health",
                                      ds_health_name(health->state), "member",
                                      (int)standing->member, "since",
                                      (json_int_t)health->since_ms, "hold_until",
                                      (json_int_t)health->hold_until_ms, "flaps", flaps,
                                      "why", health->why));
    }
    return list;
}

static json_t *format_frozen(const struct ds_state *state)
{
    if (!state->frozen_reason)
        return json_null();
    return json_pack("{ss,sI}", "reason", state->frozen_reason, "since",
                     (json_int_t)state->frozen_since_ms);
}

static json_t *format_operation(const struct ds_state *state)
{
    if (!state->operation_kind)
        return json_null();
    return json_pack("{ss,ss,ss,sI}", "kind", state->operation_kind, "step",
                     state->operation_step ? state->operation_step : "", "by",
                     state->operation_by ? state->operation_by : "", "since",
                     (json_int_t)state->operation_since_ms);
}

static json_t *format_root(const struct ds_state *state, size_t n_history)
{
    char checksum[DS_DIGEST_MAX];
    json_t *root = json_pack(
        "{si,sI,ss,so,sI,so,so,sI,ss,ss,so,ss,sI,ss}", "format", DS_STATE_FORMAT,
        "checked_at", (json_int_t)state->checked_at_ms, "digest", state->digest, "frozen",
        format_frozen(state), "generation", (json_int_t)state->generation, "history",
        format_history(state, n_history), "operation", format_operation(state),
        "replicas", (json_int_t)state->replicas, "route_prefix", state->route_prefix,
        "scheme", state->scheme, "servers", format_servers(state), "source",
        state->consul ? "consul" : "standalone", "written_at",
        (json_int_t)state->written_at_ms, "written_by", state->written_by);

    if (!root)
        return NULL; /* a text that is not UTF-8: its writer's defect */
    ds_state_checksum(root, checksum);
    json_object_set_new(root, "checksum", json_string(checksum));
    return root;
}

void ds_state_format(const struct ds_state *state, struct ds_buf *out)
{
    size_t start = out->len;

    for (size_t n = state->n_history;; n /= 2) {
        DS_AUTO(json) json_t *root = format_root(state, n);
        DS_AUTO(str)
        char *text = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

        ds_buf_truncate(out, start);
        out->over = !text;
        if (text) {
            ds_buf_adds(out, text);
            ds_buf_addc(out, '\n');
        }
        if (!out->over || !n)
            return;
    }
}
