/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop.h - SIGINT and SIGTERM asked for at moments that suit: a step is finished, locks
 * are given back.  The second one ends the program as usual, unless it is patient.
 */
#ifndef DSHARD_CMD_STOP_H
#define DSHARD_CMD_STOP_H

#include "dshard/base.h"

#include <signal.h>

struct ds_cmd_stop {
    sigset_t signals; /* blocked until the first has come */
    bool patient;     /* and then, too; set after ds_cmd_stop_init() */
    bool came;
};

void ds_cmd_stop_init(struct ds_cmd_stop *stop);
/* Waits for one, at most so long; whether one has come, now or before. */
bool ds_cmd_stop_wait(struct ds_cmd_stop *stop, int64_t ms);
/* Whether one has come; arg: a struct ds_cmd_stop.  A ds_mover_stop_fn. */
bool ds_cmd_stop_came(void *arg);

#endif
