/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c - from the words of a command line to a command that runs. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* How much of "ring show" the words are: 2 words, 1 word (a default), 0 none. */
static int words_matched(const struct ds_cmd *cmd, const char *word, const char *second)
{
    const char *space = strchr(cmd->name, ' ');
    size_t len = space ? (size_t)(space - cmd->name) : strlen(cmd->name);

    if (strlen(word) != len || strncmp(cmd->name, word, len) != 0)
        return 0;
    if (!space)
        return 1;
    if (second && strcmp(space + 1, second) == 0)
        return 2;
    return cmd->is_default ? 1 : 0;
}

static const struct ds_cmd *find(const char *word, const char *second, int *n_words)
{
    const struct ds_cmd *best = NULL;

    *n_words = 0;
    for (size_t i = 0; i < ds_n_cmds; i++) {
        int n = words_matched(ds_cmds[i], word, second);

        if (n > *n_words) {
            best = ds_cmds[i];
            *n_words = n;
        }
    }
    return best;
}

const struct ds_cmd *ds_cmd_find(const char *word, const char *second)
{
    int n_words;

    return find(word, second, &n_words);
}

static const char *cmd_name(const void *cmds, size_t i)
{
    return ((const struct ds_cmd *const *)cmds)[i]->name;
}

/* The second words of "ring ...", or "" when there is no such family. */
static void add_family(const char *word, struct ds_buf *out)
{
    size_t len = strlen(word);

    for (size_t i = 0; i < ds_n_cmds; i++) {
        const char *name = ds_cmds[i]->name;

        if (strncmp(name, word, len) == 0 && name[len] == ' ')
            ds_buf_addf(out, "%s%s", out->len ? ", " : "", name + len + 1);
    }
}

static int unknown(const char *word, const char *second, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf family = DS_BUF_INIT(1024);
    const char *near = ds_opt_nearest(word, cmd_name, ds_cmds, ds_n_cmds);

    add_family(word, &family);
    if (family.len && !second)
        return ds_fail(err, DS_E_USAGE, "'%s' wants one of: %s", word, family.data);
    if (family.len)
        return ds_fail(err, DS_E_USAGE, "'%s' is no command of %s: %s", second, word,
                       family.data);
    if (near)
        return ds_fail(err, DS_E_USAGE, "'%s' is no command; did you mean %s?", word,
                       near);
    return ds_fail(err, DS_E_USAGE, "'%s' is no command; see dshard help", word);
}

static int check_output(const struct ds_cmd *cmd, const char *output,
                        struct ds_error *err)
{
    size_t len = output ? strlen(output) : 0;

    if (!output)
        return 0;
    for (const char *p = cmd->outputs; p && *p;) {
        size_t n = strcspn(p, " ");

        if (n == len && strncmp(p, output, n) == 0)
            return 0;
        p += n + (p[n] == ' ');
    }
    if (!cmd->outputs)
        return ds_fail(err, DS_E_USAGE, "it has no --output");
    return ds_fail(err, DS_E_USAGE, "--output '%s' is none of: %s", output, cmd->outputs);
}

static int check_operands(const struct ds_cmd *cmd, const struct ds_opt_list *operands,
                          struct ds_error *err)
{
    if (operands->n < (size_t)cmd->min_operands)
        return ds_fail(err, DS_E_USAGE, "it wants %s", cmd->operands);
    if (cmd->max_operands >= 0 && operands->n > (size_t)cmd->max_operands) {
        if (cmd->is_default) {
            DS_AUTO(str) char *word = ds_xstrndup(cmd->name, strcspn(cmd->name, " "));

            return unknown(word, operands->items[0], err);
        }
        return ds_fail(err, DS_E_USAGE, "'%s' is too much: it takes %s",
                       operands->items[cmd->max_operands],
                       cmd->operands[0] ? cmd->operands : "no arguments");
    }
    return 0;
}

static int run(const struct ds_cmd *cmd, struct ds_cmd_context *ctx, int argc,
               char **argv, struct ds_error *err)
{
    DS_AUTO(ptr) void *options = ds_xcalloc(1, cmd->options_size);
    struct ds_opt_set sets[] = {
        {cmd->opts, cmd->n_opts, options},
        {ds_cmd_common_opts, ds_cmd_n_common_opts, &ctx->common},
    };
    struct ds_opt_list operands = {0};
    int rc = ds_opt_parse(sets, DS_COUNT(sets), argc, argv, false, &operands, NULL, err);

    ctx->operands = operands.items;
    ctx->n_operands = operands.n;
    if (rc == 0 && ctx->common.help) {
        ds_cmd_help_one(cmd, &ctx->out);
    } else if (rc == 0) {
        rc = check_operands(cmd, &operands, err);
        if (rc == 0)
            rc = check_output(cmd, ctx->common.output, err);
        if (rc == 0)
            rc = cmd->run(ctx, options, err);
    }
    ds_opt_release(&sets[0]);
    ds_opt_list_release(&operands);
    if (rc < 0 && err->text[0]) /* `status` has said it all in its result */
        ds_wrap(err, "%s", cmd->name);
    return rc;
}

int ds_cmd_dispatch(struct ds_cmd_context *ctx, int argc, char **argv,
                    struct ds_error *err)
{
    struct ds_opt_set common = {ds_cmd_common_opts, ds_cmd_n_common_opts, &ctx->common};
    const struct ds_cmd *cmd;
    int used = 0, n_words;

    if (argc == 1 && strcmp(argv[0], "--version") == 0) {
        ds_buf_adds(&ctx->out, "dshard " DS_VERSION "\n");
        return 0;
    }
    if (ds_opt_parse(&common, 1, argc, argv, true, NULL, &used, err) < 0)
        return -1;
    if (used == argc && ctx->common.help) {
        ds_cmd_help_all(&ctx->out);
        return 0;
    }
    if (used == argc)
        return ds_fail(err, DS_E_USAGE, "it wants a command; see dshard help");
    argc -= used;
    argv += used;
    cmd = find(argv[0], argc > 1 ? argv[1] : NULL, &n_words);
    if (!cmd)
        return unknown(argv[0], argc > 1 && argv[1][0] != '-' ? argv[1] : NULL, err);
    return run(cmd, ctx, argc - n_words, argv + n_words, err);
}

static void DS_PRINTF(1, 0) say(const char *fmt, va_list ap)
{
    fputs("dshard: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void ds_cmd_say(const struct ds_cmd_context *ctx, const char *fmt, ...)
{
    va_list ap;

    if (ctx->common.quiet || (!ctx->common.verbose && !isatty(STDERR_FILENO)))
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void ds_cmd_warn(const struct ds_cmd_context *ctx, const char *fmt, ...)
{
    va_list ap;

    if (ctx->common.quiet)
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

bool ds_cmd_wants(const struct ds_cmd_context *ctx, const char *output)
{
    return ctx->common.output && strcmp(ctx->common.output, output) == 0;
}

int64_t ds_cmd_timeout_ms(const struct ds_cmd_context *ctx, int64_t otherwise_ms)
{
    return ctx->common.timeout_ms >= 0 ? ctx->common.timeout_ms : otherwise_ms;
}

int ds_cmd_load_config(struct ds_cmd_context *ctx, struct ds_config *config,
                       struct ds_error *err)
{
    DS_AUTO(str) char *path = ds_config_find(ctx->common.config, err);

    if (!path)
        return -1;
    return ds_config_load(config, path, &ctx->complaints, err);
}

int ds_cmd_load_state(struct ds_cmd_context *ctx, const char *state_option,
                      struct ds_state *state, char **path, unsigned *port,
                      struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;

    ds_config_init(&config);
    if (state_option)
        ds_set_str(path, state_option);
    else if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    else
        ds_set_str(path, config.state_file);
    if (port)
        *port = state_option ? 0 : config.pushgateway.port;
    ds_state_release(state);
    return ds_state_load(state, *path, err);
}
