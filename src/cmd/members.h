/* SPDX-License-Identifier: Apache-2.0 */
/* members.h - lists of servers on a command line. */
#ifndef DSHARD_CMD_MEMBERS_H
#define DSHARD_CMD_MEMBERS_H

#include "cmd.h"

/* Reads "host:port", "host:port=weight" and lists of them with commas; a new array,
   sorted, or NULL (DS_E_USAGE).  default_port 0: the port must be there. */
struct ds_server *ds_cmd_parse_members(const struct ds_opt_list *words,
                                       unsigned default_port, size_t *n,
                                       struct ds_error *err) DS_NODISCARD;

#endif
