/* SPDX-License-Identifier: Apache-2.0 */
/* acts.h - what register, deregister and drain share: servers, what is done to each, the
   report. */
#ifndef DSHARD_CMD_ACTS_H
#define DSHARD_CMD_ACTS_H

#include "cmd.h"
#include "dshard/discovery.h"

enum { DS_CMD_LOCK_TIMEOUT_MS = 10000 };

struct ds_cmd_acts {
    struct ds_act *items;
    size_t n;
};

void ds_cmd_acts_release(struct ds_cmd_acts *acts);

/* The operands as servers (weights from the configuration if they are listed there). */
int ds_cmd_acts_from_operands(const struct ds_cmd_context *ctx,
                              const struct ds_config *config, enum ds_act_kind kind,
                              struct ds_cmd_acts *acts, struct ds_error *err)
    DS_NODISCARD;
/* "KIND SERVER...", new: the state's operation that does this to them (aim.h). */
char *ds_cmd_acts_command(const char *kind, const struct ds_cmd_acts *acts) DS_NODISCARD;
/* The same for servers that must be known already, with the weights they have. */
int ds_cmd_acts_from_known(const struct ds_cmd_context *ctx,
                           const struct ds_config *config, enum ds_act_kind kind,
                           const struct ds_state *state, struct ds_cmd_acts *acts,
                           struct ds_error *err) DS_NODISCARD;
void ds_cmd_acts_add(struct ds_cmd_acts *acts, const struct ds_server *server,
                     enum ds_act_kind kind);

/* DS_E_REFUSED when taking them out would leave fewer healthy servers than
   ring.min_healthy. */
int ds_cmd_acts_guard_ring(const struct ds_config *config, const struct ds_state *state,
                           const struct ds_cmd_acts *acts, struct ds_error *err)
    DS_NODISCARD;

/* Adds what is to be done, after looking at what is known; -1: nothing will be done. */
typedef int ds_cmd_choose_fn(struct ds_cmd_context *ctx, const struct ds_config *config,
                             const struct ds_registry *registry,
                             const struct ds_state *known, const void *options,
                             struct ds_cmd_acts *acts, struct ds_error *err);

/*
 * The whole of such a command: loads the configuration, asks the registry, lets `choose`
 * say what is to be done, does it (unless dry_run), waits until the ring has followed
 * where that is the registry's way, and reports.  done: the word for it, "registered".
 */
int ds_cmd_acts_do(struct ds_cmd_context *ctx, ds_cmd_choose_fn *choose,
                   const void *options, const char *done, bool dry_run,
                   struct ds_error *err) DS_NODISCARD;

#endif
