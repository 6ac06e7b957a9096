/* SPDX-License-Identifier: Apache-2.0 */
/* see scale_result.h */
#include "scale_result.h"
#include "groups.h"
#include "json.h"

void ds_cmd_scale_text(struct ds_cmd_context *ctx, const struct ds_scale *scale)
{
    size_t n_left = scale->report.plan.n_left;

    if (!scale->done)
        return;
    for (size_t i = 0; i < scale->n_add; i++)
        ds_buf_addf(&ctx->out, "%s is a member now\n", scale->add[i].server.address);
    for (size_t i = 0; i < scale->n_remove; i++) {
        const char *address = scale->remove[i].server.address;
        const struct ds_mover_server *server =
            ds_mover_report_find(&scale->report, address);

        ds_buf_addf(&ctx->out, "%s can be stopped now", address);
        if (server && server->reached && server->n_groups)
            ds_buf_addf(&ctx->out, " (%zu old %s left on it)", server->n_groups,
                        server->n_groups == 1 ? "group was" : "groups were");
        else if (!scale->remove[i].reached)
            ds_buf_adds(&ctx->out, " (what it held is not known)");
        ds_buf_addc(&ctx->out, '\n');
    }
    ds_cmd_say(ctx, "%zu %s copied, %zu merged, %zu removed where they were%s",
               scale->n_copied, scale->n_copied == 1 ? "group" : "groups",
               scale->n_merged, scale->n_deleted,
               n_left ? "; some are older than --leave-older-than and stay" : "");
}

static json_t *servers_json(const struct ds_scale *scale)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < scale->n_add + scale->n_remove; i++) {
        bool adds = i < scale->n_add;
        const struct ds_scale_server *item =
            adds ? &scale->add[i] : &scale->remove[i - scale->n_add];

        json_array_append_new(
            rows, json_pack("{ss,ss,ss,sI}", "address", item->server.address, "act",
                            adds ? "add" : "remove", "was", ds_intent_name(item->was),
                            "weight", (json_int_t)item->server.weight));
    }
    return rows;
}

static json_t *missing_json(const struct ds_scale *scale)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < scale->n_missing; i++)
        json_array_append_new(
            rows, ds_cmd_json_string(scale->missing[i], strlen(scale->missing[i])));
    return rows;
}

void ds_cmd_scale_json(struct ds_cmd_context *ctx, const struct ds_scale *scale,
                       const struct ds_plan_view *view, bool dry_run)
{
    json_t *root = json_pack(
        "{ss,sb,sb,so,so,sI,sI,sI,sI,so,so}", "command", scale->kind, "dry_run",
        (int)dry_run, "done", (int)scale->done, "plan", ds_plan_view_json(view),
        "servers", servers_json(scale), "copied", (json_int_t)scale->n_copied, "merged",
        (json_int_t)scale->n_merged, "deleted", (json_int_t)scale->n_deleted, "left",
        (json_int_t)scale->report.plan.n_left, "refused",
        ds_cmd_groups_refused_json(&scale->report), "missing", missing_json(scale));

    ds_cmd_add_json(ctx, root);
}
