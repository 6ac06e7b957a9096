/* SPDX-License-Identifier: Apache-2.0 */
/* scale_choice.h - from the servers on a command line to those that come and go. */
#ifndef DSHARD_CMD_SCALE_CHOICE_H
#define DSHARD_CMD_SCALE_CHOICE_H

#include "acts.h"
#include "dshard/scale.h"

typedef void ds_cmd_scale_choose_fn(struct ds_scale *scale,
                                    const struct ds_cmd_acts *acts);
void ds_cmd_scale_add_all(struct ds_scale *scale, const struct ds_cmd_acts *acts);
void ds_cmd_scale_remove_all(struct ds_scale *scale, const struct ds_cmd_acts *acts);
/* The difference between what is wanted and what the registry and the configuration
   have. */
void ds_cmd_scale_change_to(struct ds_scale *scale, const struct ds_cmd_acts *acts);

#endif
