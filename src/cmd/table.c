/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - the commands, in the order of the help. */
#include "cmd.h"

const struct ds_cmd *const ds_cmds[] = {
    &ds_cmd_register,      &ds_cmd_deregister,    &ds_cmd_drain,
    &ds_cmd_undrain,       &ds_cmd_watch,         &ds_cmd_ring_show,
    &ds_cmd_ring_lookup,   &ds_cmd_ring_plan,     &ds_cmd_scale_up,
    &ds_cmd_scale_down,    &ds_cmd_scale_to,      &ds_cmd_groups_list,
    &ds_cmd_groups_move,   &ds_cmd_groups_dedupe, &ds_cmd_groups_expire,
    &ds_cmd_groups_delete, &ds_cmd_status,        &ds_cmd_config_check,
    &ds_cmd_config_show,   &ds_cmd_help,
};
const size_t ds_n_cmds = DS_COUNT(ds_cmds);

const struct ds_opt ds_cmd_common_opts[] = {
    {"config", '\0', DS_OPT_TEXT, offsetof(struct ds_cmd_common, config), "FILE",
     "configuration (or $DSHARD_CONFIG, ./dshard.yml, /etc/dshard/dshard.yml)"},
    {"output", 'o', DS_OPT_TEXT, offsetof(struct ds_cmd_common, output), "FORMAT",
     "form of the result"},
    {"timeout", '\0', DS_OPT_DURATION, offsetof(struct ds_cmd_common, timeout_ms), "TIME",
     "how long to wait for a lock or an answer"},
    {"quiet", 'q', DS_OPT_FLAG, offsetof(struct ds_cmd_common, quiet), NULL,
     "say nothing but errors"},
    {"verbose", 'v', DS_OPT_FLAG, offsetof(struct ds_cmd_common, verbose), NULL,
     "say what is done, also without a terminal"},
    {"help", 'h', DS_OPT_FLAG, offsetof(struct ds_cmd_common, help), NULL, "this text"},
};
const size_t ds_cmd_n_common_opts = DS_COUNT(ds_cmd_common_opts);
