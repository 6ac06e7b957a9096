/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - help for one command or all of them, from their own tables. */
#include "cmd.h"

void ds_cmd_help_one(const struct ds_cmd *cmd, struct ds_buf *out)
{
    ds_buf_addf(out, "dshard %s [OPTIONS]%s%s - %s\n", cmd->name,
                cmd->operands[0] ? " " : "", cmd->operands, cmd->summary);
    if (cmd->n_opts) {
        ds_buf_adds(out, "\nOptions:\n");
        ds_opt_help(cmd->opts, cmd->n_opts, out);
    }
    ds_buf_adds(out, "\nCommon options:\n");
    ds_opt_help(ds_cmd_common_opts, ds_cmd_n_common_opts, out);
    if (cmd->outputs)
        ds_buf_addf(out, "\nForms of the result (--output): %s\n", cmd->outputs);
}

void ds_cmd_help_all(struct ds_buf *out)
{
    ds_buf_adds(out, "dshard - one address for many Prometheus Pushgateways\n\n"
                     "usage: dshard COMMAND [OPTIONS] [ARGS]\n\nCommands:\n");
    for (size_t i = 0; i < ds_n_cmds; i++) {
        DS_AUTO(buf) struct ds_buf left = DS_BUF_INIT(256);

        ds_buf_addf(&left, "  %s %s", ds_cmds[i]->name, ds_cmds[i]->operands);
        ds_buf_addf(out, "%-32s %s\n", left.data, ds_cmds[i]->summary);
    }
    ds_buf_adds(out, "\nCommon options:\n");
    ds_opt_help(ds_cmd_common_opts, ds_cmd_n_common_opts, out);
    ds_buf_adds(out,
                "      --version              the version\n"
                "\nExit status: 0 done; 1 failed; 2 usage or configuration is wrong; "
                "3 the answer is\nno; 5 refused by a guard; 75 try again.\n");
}

/* "ring": all that begins with it.  False when the word is no family. */
static bool help_family(const char *word, struct ds_buf *out)
{
    size_t len = strlen(word), n = 0;

    for (size_t i = 0; i < ds_n_cmds; i++) {
        const char *name = ds_cmds[i]->name;

        if (strncmp(name, word, len) != 0 || name[len] != ' ')
            continue;
        if (n++)
            ds_buf_adds(out, "\n");
        ds_cmd_help_one(ds_cmds[i], out);
    }
    return n > 0;
}

static int run(struct ds_cmd_context *ctx, const void *options, struct ds_error *err)
{
    const char *second = ctx->n_operands > 1 ? ctx->operands[1] : NULL;
    const struct ds_cmd *cmd;

    (void)options;
    if (!ctx->n_operands) {
        ds_cmd_help_all(&ctx->out);
        return 0;
    }
    if (!second && help_family(ctx->operands[0], &ctx->out))
        return 0;
    cmd = ds_cmd_find(ctx->operands[0], second);
    if (!cmd)
        return ds_fail(err, DS_E_USAGE, "'%s%s%s' is no command; see dshard help",
                       ctx->operands[0], second ? " " : "", second ? second : "");
    ds_cmd_help_one(cmd, &ctx->out);
    return 0;
}

const struct ds_cmd ds_cmd_help = {
    .name = "help",
    .summary = "this text, or the one of a command",
    .operands = "[COMMAND]",
    .max_operands = 2,
    .run = run,
};
