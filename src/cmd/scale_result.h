/* SPDX-License-Identifier: Apache-2.0 */
/* scale_result.h - what `scale` tells at the end. */
#ifndef DSHARD_CMD_SCALE_RESULT_H
#define DSHARD_CMD_SCALE_RESULT_H

#include "cmd.h"
#include "dshard/scale.h"
#include "plan_view.h"

void ds_cmd_scale_text(struct ds_cmd_context *ctx, const struct ds_scale *scale);
void ds_cmd_scale_json(struct ds_cmd_context *ctx, const struct ds_scale *scale,
                       const struct ds_plan_view *view, bool dry_run);

#endif
