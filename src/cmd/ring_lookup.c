/* SPDX-License-Identifier: Apache-2.0 */
/* ring_lookup.c - the owner of each push path, from the state file alone. */
#include "cmd.h"
#include "dshard/groupkey.h"
#include "json.h"
#include "members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct options {
    const char *state;
    struct ds_opt_list members;
    unsigned replicas;
    bool explain;
};

static const struct ds_opt options[] = {
    {"members", '\0', DS_OPT_LIST, offsetof(struct options, members), "A,B,C",
     "answer for a ring of these servers (host:port or host:port=weight)"},
    {"replicas", '\0', DS_OPT_NUMBER, offsetof(struct options, replicas), "N",
     "with --members: points of weight 1, if not 500"},
    {"explain", '\0', DS_OPT_FLAG, offsetof(struct options, explain), NULL,
     "show the labels, the key, its hash and the point that owns it"},
    {"state", '\0', DS_OPT_TEXT, offsetof(struct options, state), "FILE",
     "read this state file instead of the configuration's"},
};

struct lookup {
    struct ds_cmd_context *ctx;
    const struct options *options;
    const struct ds_ring *ring;
    struct ds_groupkey group;
    json_t *results; /* NULL: text */
    size_t n_refused;
};

static void explain(const struct lookup *lookup, const struct ds_ring_hit *hit)
{
    const struct ds_groupkey *group = &lookup->group;
    struct ds_buf *out = &lookup->ctx->out;

    ds_buf_adds(out, "  labels  job=");
    ds_buf_add_quoted(out, group->job.value, group->job.value_len);
    for (size_t i = 0; i < group->n_labels; i++) {
        const struct ds_label *label = &group->labels[i];

        ds_buf_addf(out, " %.*s=", (int)label->name_len, label->name);
        ds_buf_add_quoted(out, label->value, label->value_len);
    }
    ds_buf_adds(out, "\n  key     ");
    ds_buf_add_quoted(out, group->key.data, group->key.len);
    ds_buf_addf(out, "\n  hash    %08" PRIx32 "\n  point   %08" PRIx32 "\n  url     %s\n",
                hit->hash, hit->point, group->url.data);
}

static void add_result(struct lookup *lookup, const char *path, size_t len,
                       const struct ds_ring_hit *hit)
{
    const struct ds_groupkey *group = &lookup->group;
    json_t *labels = json_object();

    json_object_set_new(labels, "job",
                        ds_cmd_json_string(group->job.value, group->job.value_len));
    for (size_t i = 0; i < group->n_labels; i++) {
        const struct ds_label *label = &group->labels[i];
        DS_AUTO(str) char *name = ds_xstrndup(label->name, label->name_len);

        json_object_set_new(labels, name,
                            ds_cmd_json_string(label->value, label->value_len));
    }
    json_array_append_new(
        lookup->results,
        json_pack("{so,ss,so,so,so,sI,sI}", "path", ds_cmd_json_string(path, len),
                  "owner", hit->owner->address, "labels", labels, "key",
                  ds_cmd_json_string(group->key.data, group->key.len), "url",
                  ds_cmd_json_string(group->url.data, group->url.len), "hash",
                  (json_int_t)hit->hash, "point", (json_int_t)hit->point));
}

static void add_line(struct ds_buf *out, const char *owner, const char *path, size_t len)
{
    ds_buf_addf(out, "%s\t", owner);
    ds_buf_add(out, path, len);
    ds_buf_addc(out, '\n');
}

static void refuse(struct lookup *lookup, const char *path, size_t len,
                   const struct ds_error *why)
{
    lookup->n_refused++;
    ds_cmd_warn(lookup->ctx, "%s", why->text);
    if (lookup->results)
        json_array_append_new(lookup->results, json_pack("{so,sn,ss}", "path",
                                                         ds_cmd_json_string(path, len),
                                                         "owner", "error", why->text));
    else
        add_line(&lookup->ctx->out, "-", path, len);
}

static void look_up(struct lookup *lookup, const char *path, size_t len)
{
    struct ds_error why = DS_ERROR_INIT;
    struct ds_ring_hit hit;

    if (ds_groupkey_parse(&lookup->group, path, len, &why) < 0) {
        refuse(lookup, path, len, &why);
        return;
    }
    ds_ring_find(lookup->ring, lookup->group.key.data, lookup->group.key.len, &hit);
    if (lookup->results) {
        add_result(lookup, path, len, &hit);
        return;
    }
    add_line(&lookup->ctx->out, hit.owner->address, path, len);
    if (lookup->options->explain)
        explain(lookup, &hit);
}

static int look_up_stdin(struct lookup *lookup, struct ds_error *err)
{
    DS_AUTO(str) char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    while ((len = getline(&line, &cap, stdin)) >= 0) {
        while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            line[--len] = '\0';
        if (len)
            look_up(lookup, line, (size_t)len);
    }
    if (ferror(stdin))
        return ds_fail_errno(err, "reading paths from stdin");
    return 0;
}

static int get_ring(struct ds_cmd_context *ctx, const struct options *o,
                    struct ds_ring **ring, struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(str) char *path = NULL;
    unsigned replicas = o->replicas ? o->replicas : DS_REPLICAS_DEFAULT;

    if (o->members.n) {
        size_t n = 0;
        DS_AUTO(ptr) void *members = ds_cmd_parse_members(&o->members, 0, &n, err);

        *ring = members ? ds_ring_new(members, n, replicas, err) : NULL;
        if (!*ring)
            err->code = DS_E_USAGE;
        return *ring ? 0 : ds_wrap(err, "--members");
    }
    if (ds_cmd_load_state(ctx, o->state, &state, &path, NULL, err) < 0)
        return -1;
    *ring = ds_state_ring(&state);
    if (!*ring)
        return ds_fail(err, DS_E_FAILED, "the ring in '%s' has no members", path);
    return 0;
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    struct lookup lookup = {.ctx = ctx, .options = opts};
    int rc = 0;

    if (get_ring(ctx, opts, &ring, err) < 0)
        return -1;
    lookup.ring = ring;
    ds_groupkey_init(&lookup.group);
    if (ds_cmd_wants(ctx, "json"))
        lookup.results = json_array();
    for (size_t i = 0; i < ctx->n_operands && rc == 0; i++) {
        if (strcmp(ctx->operands[i], "-") == 0)
            rc = look_up_stdin(&lookup, err);
        else
            look_up(&lookup, ctx->operands[i], strlen(ctx->operands[i]));
    }
    ds_groupkey_release(&lookup.group);
    if (lookup.results)
        ds_cmd_add_json(ctx, json_pack("{so}", "results", lookup.results));
    if (rc == 0 && lookup.n_refused)
        rc = ds_fail(err, DS_E_FAILED, "%zu %s refused", lookup.n_refused,
                     lookup.n_refused == 1 ? "path" : "paths");
    return rc;
}

const struct ds_cmd ds_cmd_ring_lookup = {
    .name = "ring lookup",
    .summary = "the owner of push paths (-: one a line from stdin)",
    .operands = "PATH... | -",
    .min_operands = 1,
    .max_operands = -1,
    .outputs = "text json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run,
};
