/* SPDX-License-Identifier: Apache-2.0 */
/* ask.h - whether to go on: asked of somebody who sits at a terminal. */
#ifndef DSHARD_CMD_ASK_H
#define DSHARD_CMD_ASK_H

#include "dshard/base.h"
#include "dshard/error.h"

/* Whether there will be a question. */
bool ds_cmd_will_ask(bool yes);
/* 0: go on, also when there is nobody to ask, or `yes` was said before.  DS_E_NO: not.
   DS_E_USAGE: somebody sits there and would not see the question. */
int ds_cmd_ask(bool yes, struct ds_error *err) DS_NODISCARD;

#endif
