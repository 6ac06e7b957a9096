/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd.h - what a subcommand is.
 *
 * Each file in cmd/ declares one or more `const struct ds_cmd` and table.c lists them;
 * the help, the manual's check and the parsing all read these.  A command returns 0, or
 * -1 with the error set; it prints no error itself: main does, once.  Results go to
 * ctx->out, which main writes to stdout and checks; talk goes to stderr through
 * ds_cmd_say().
 */
#ifndef DSHARD_CMD_H
#define DSHARD_CMD_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/opt.h"
#include "dshard/state.h"

enum { DS_OUT_MAX = 256 * 1024 * 1024 };

struct ds_cmd_common {
    const char *config, *output;
    int64_t timeout_ms; /* -1: not given */
    bool quiet, verbose, help;
};

struct ds_cmd_context {
    struct ds_cmd_common common;
    const char **operands;
    size_t n_operands;
    struct ds_buf out;        /* the result */
    struct ds_buf complaints; /* lines that go to stderr before the error */
};

struct ds_cmd {
    const char *name;               /* "register", "ring show" */
    const char *summary;            /* one line */
    const char *operands;           /* "SERVER...", for the help; "" for none */
    int min_operands, max_operands; /* max -1: any number */
    const char *outputs; /* what -o may be, the default first: "text json"; NULL: none */
    const struct ds_opt *opts;
    size_t n_opts;
    size_t options_size; /* of the struct that the offsets of opts are about */
    bool is_default;     /* "ring" alone means "ring show" */
    int (*run)(struct ds_cmd_context *ctx, const void *options, struct ds_error *err);
};

extern const struct ds_cmd *const ds_cmds[];
extern const size_t ds_n_cmds;

extern const struct ds_cmd ds_cmd_register;
extern const struct ds_cmd ds_cmd_deregister;
extern const struct ds_cmd ds_cmd_drain;
extern const struct ds_cmd ds_cmd_undrain;
extern const struct ds_cmd ds_cmd_watch;
extern const struct ds_cmd ds_cmd_ring_show;
extern const struct ds_cmd ds_cmd_ring_lookup;
extern const struct ds_cmd ds_cmd_ring_plan;
extern const struct ds_cmd ds_cmd_groups_list;
extern const struct ds_cmd ds_cmd_groups_move;
extern const struct ds_cmd ds_cmd_groups_dedupe;
extern const struct ds_cmd ds_cmd_groups_expire;
extern const struct ds_cmd ds_cmd_groups_delete;
extern const struct ds_cmd ds_cmd_scale_up;
extern const struct ds_cmd ds_cmd_scale_down;
extern const struct ds_cmd ds_cmd_scale_to;
extern const struct ds_cmd ds_cmd_status;
extern const struct ds_cmd ds_cmd_config_check;
extern const struct ds_cmd ds_cmd_config_show;
extern const struct ds_cmd ds_cmd_help;

/* The options that every command has. */
extern const struct ds_opt ds_cmd_common_opts[];
extern const size_t ds_cmd_n_common_opts;

/* Reads argv (without the program's name) and runs what it says. */
int ds_cmd_dispatch(struct ds_cmd_context *ctx, int argc, char **argv,
                    struct ds_error *err) DS_NODISCARD;

/* Appends the help of one command, or of the whole program. */
void ds_cmd_help_one(const struct ds_cmd *cmd, struct ds_buf *out);
void ds_cmd_help_all(struct ds_buf *out);
/* The commands that a word (or two) names; NULL: none. */
const struct ds_cmd *ds_cmd_find(const char *word, const char *second);

/* A line on stderr: for people at a terminal, or with --verbose; never with --quiet. */
void ds_cmd_say(const struct ds_cmd_context *ctx, const char *fmt, ...) DS_PRINTF(2, 3);
/* The same, also without a terminal: for what went wrong on the way. */
void ds_cmd_warn(const struct ds_cmd_context *ctx, const char *fmt, ...) DS_PRINTF(2, 3);

bool ds_cmd_wants(const struct ds_cmd_context *ctx, const char *output);
/* How long to wait for a lock or an answer. */
int64_t ds_cmd_timeout_ms(const struct ds_cmd_context *ctx, int64_t otherwise_ms);

/* The configuration that --config, the environment or the places give. */
int ds_cmd_load_config(struct ds_cmd_context *ctx, struct ds_config *config,
                       struct ds_error *err) DS_NODISCARD;
/* The state file that the configuration names, or --state when that is not NULL.  *port
   (may be NULL) is the port of servers that are named without one, 0 if that is not
   known. */
int ds_cmd_load_state(struct ds_cmd_context *ctx, const char *state_option,
                      struct ds_state *state, char **path, unsigned *port,
                      struct ds_error *err) DS_NODISCARD;

#endif
