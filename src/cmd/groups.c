/* SPDX-License-Identifier: Apache-2.0 */
/* see groups.h */
#include "groups.h"
#include "dshard/groupkey.h"
#include "dshard/utf8.h"
#include "json.h"

#include <stdlib.h>

enum { GROUP_TEXT_MAX = 16 * 1024 * 1024 };

struct ds_cmd_match_label {
    const char *word, *value; /* borrowed; the name is word up to name_len */
    size_t name_len;
};

/* ---- --match ------------------------------------------------------------------------
 */

int ds_cmd_match_parse(struct ds_cmd_match *match, const struct ds_opt_list *words,
                       struct ds_error *err)
{
    match->labels = ds_xcalloc(words->n, sizeof *match->labels);
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->items[i];
        const char *equals = strchr(word, '=');

        if (!equals || equals == word)
            return ds_fail(err, DS_E_USAGE, "--match wants LABEL=VALUE, not '%s'", word);
        match->labels[match->n++] = (struct ds_cmd_match_label){
            .word = word, .value = equals + 1, .name_len = (size_t)(equals - word)};
    }
    return 0;
}

void ds_auto_cmd_match(struct ds_cmd_match *match)
{
    free(match->labels);
    *match = (struct ds_cmd_match){0};
}

static bool label_holds(const struct ds_cmd_match_label *wanted,
                        const struct ds_group *group)
{
    const char *at = group->identity, *end = at + group->identity_len;
    size_t value_len = strlen(wanted->value);
    struct ds_label label;

    while (at && ds_identity_next(&at, end, &label)) {
        if (label.name_len == wanted->name_len &&
            memcmp(label.name, wanted->word, label.name_len) == 0)
            return label.value_len == value_len &&
                   memcmp(label.value, wanted->value, value_len) == 0;
    }
    return !value_len;
}

bool ds_cmd_match_holds(void *arg, const struct ds_group *group)
{
    const struct ds_cmd_match *match = arg;

    for (size_t i = 0; i < match->n; i++) {
        if (!label_holds(&match->labels[i], group))
            return false;
    }
    return true;
}

/* ---- a group for people and for programs --------------------------------------------
 */

/* C1 control characters are UTF-8, and some terminals obey them. */
static bool is_control(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];

    return c < 0x20 || c == 0x7F || (n == 2 && c == 0xC2 && (unsigned char)s[1] < 0xA0);
}

static void add_safe(const char *text, size_t len, struct ds_buf *out)
{
    for (size_t i = 0; i < len;) {
        size_t n = ds_utf8_len(text + i, len - i);

        if (n && !is_control(text + i, n))
            ds_buf_add(out, text + i, n);
        for (size_t k = 0; (!n || is_control(text + i, n)) && k < (n ? n : 1); k++)
            ds_buf_addf(out, "\\x%02x", (unsigned)(unsigned char)text[i + k]);
        i += n ? n : 1;
    }
}

static void add_text(const char *identity, size_t len, struct ds_buf *out)
{
    DS_AUTO(str) char *copy = ds_xmemdup(identity, len);
    struct ds_group group = {.identity = copy, .identity_len = len};

    ds_group_add_text(&group, out);
}

void ds_cmd_group_add_text(const char *identity, size_t len, struct ds_buf *out)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(GROUP_TEXT_MAX);

    add_text(identity, len, &text);
    add_safe(text.data, text.len, out);
}

json_t *ds_cmd_group_add_json(json_t *row, const char *identity, size_t len)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(GROUP_TEXT_MAX);
    const char *at = identity, *end = identity + len;
    json_t *labels = json_object();
    struct ds_label label;

    while (at && ds_identity_next(&at, end, &label)) {
        DS_AUTO(str) char *name = ds_xstrndup(label.name, label.name_len);

        json_object_set_new(labels, name,
                            ds_cmd_json_string(label.value, label.value_len));
    }
    json_object_set_new(row, "labels", labels);
    add_text(identity, len, &text);
    json_object_set_new(row, "group", ds_cmd_json_string(text.data, text.len));
    return row;
}

json_t *ds_cmd_groups_refused_json(const struct ds_mover_report *report)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < report->n_refusals; i++) {
        const struct ds_mover_refusal *refusal = &report->refusals[i];
        json_t *row =
            json_pack("{ss,ss,so}", "from", refusal->from, "to", refusal->to, "why",
                      ds_cmd_json_string(refusal->why, strlen(refusal->why)));

        json_array_append_new(
            rows, ds_cmd_group_add_json(row, refusal->identity, refusal->identity_len));
    }
    return rows;
}

json_t *ds_cmd_groups_servers_json(const struct ds_mover_report *report)
{
    json_t *servers = json_array();

    for (size_t i = 0; i < report->n_servers; i++) {
        const struct ds_mover_server *row = &report->servers[i];

        json_array_append_new(
            servers,
            json_pack("{ss,ss,sb,sb,ss,sI,sI,sI,sI}", "address", row->address, "intent",
                      ds_intent_name(row->intent), "member", (int)row->member, "reached",
                      (int)row->reached, "why", row->why, "groups",
                      (json_int_t)row->n_groups, "misplaced",
                      (json_int_t)row->n_misplaced, "copies", (json_int_t)row->n_copies,
                      "ties", (json_int_t)row->n_ties));
    }
    return servers;
}

/* ---- asking -------------------------------------------------------------------------
 */

int ds_cmd_groups_look(struct ds_cmd_context *ctx, const struct ds_config *config,
                       const struct ds_state *state, struct ds_cmd_match *match,
                       struct ds_mover_report *report, struct ds_error *err)
{
    struct ds_mover_options options = {
        .mode = DS_PLAN_LOOK,
        .patience_ms = config->watch.patience_ms,
        .timeout_ms = ds_cmd_timeout_ms(ctx, DS_CMD_GROUPS_TIMEOUT_MS),
        .match = match && match->n ? ds_cmd_match_holds : NULL,
        .match_arg = match,
    };

    return ds_mover_pass(config, state, NULL, &options, report, err);
}

int ds_cmd_groups_check_read(const struct ds_mover_report *report, bool down_too,
                             struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf names = DS_BUF_INIT(DS_ERROR_TEXT_MAX / 2);
    size_t n = 0;

    for (size_t i = 0; i < report->n_servers; i++) {
        const struct ds_mover_server *row = &report->servers[i];

        if (row->reached || (row->down && !down_too))
            continue;
        ds_buf_addf(&names, "%s%s (%s%s)", n++ ? ", " : "", row->address,
                    row->down ? "down: " : "", row->why[0] ? row->why : "no answer");
    }
    if (!n)
        return 0;
    return ds_fail(err, DS_E_TEMP, "the groups of %zu %s are not known: %s%s", n,
                   n == 1 ? "server" : "servers", names.data, names.over ? " ..." : "");
}
