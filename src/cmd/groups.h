/* SPDX-License-Identifier: Apache-2.0 */
/* groups.h - what commands that are about the fleet's groups share. */
#ifndef DSHARD_CMD_GROUPS_H
#define DSHARD_CMD_GROUPS_H

#include "cmd.h"
#include "dshard/mover.h"
#include "json.h"

enum { DS_CMD_GROUPS_TIMEOUT_MS = 10000 }; /* of a request, and for the lock */

/* --match LABEL=VALUE, several: all of them must hold. */
struct ds_cmd_match {
    struct ds_cmd_match_label *labels; /* owned */
    size_t n;
};
/* DS_E_USAGE when a word has no label's name or no '='. */
int ds_cmd_match_parse(struct ds_cmd_match *match, const struct ds_opt_list *words,
                       struct ds_error *err) DS_NODISCARD;
void ds_auto_cmd_match(struct ds_cmd_match *match);
/* arg: a struct ds_cmd_match; a label that a group lacks counts as "".  A
   ds_mover_match_fn. */
bool ds_cmd_match_holds(void *arg, const struct ds_group *group);

/* {job="a",x="1"} for a terminal: control characters are escaped. */
void ds_cmd_group_add_text(const char *identity, size_t len, struct ds_buf *out);
/* Adds "group" (that text) and "labels" (an object) to a JSON object; returns it. */
json_t *ds_cmd_group_add_json(json_t *row, const char *identity, size_t len);

/* [{"address":...}]: as the report has them. */
json_t *ds_cmd_groups_servers_json(const struct ds_mover_report *report);
/* [{"group":...,"labels":...,"from":...,"to":...,"why":...}]: what a server refused. */
json_t *ds_cmd_groups_refused_json(const struct ds_mover_report *report);

/* A pass that only looks, at the groups that match (NULL: all). */
int ds_cmd_groups_look(struct ds_cmd_context *ctx, const struct ds_config *config,
                       const struct ds_state *state, struct ds_cmd_match *match,
                       struct ds_mover_report *report, struct ds_error *err) DS_NODISCARD;
/* DS_E_TEMP with the names and reasons when servers could not be read; those that are
   down count when `down_too`. */
int ds_cmd_groups_check_read(const struct ds_mover_report *report, bool down_too,
                             struct ds_error *err) DS_NODISCARD;

#endif
