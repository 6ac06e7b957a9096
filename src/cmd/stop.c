/* SPDX-License-Identifier: Apache-2.0 */
/* see stop.h */
#include "stop.h"

#include <time.h>

void ds_cmd_stop_init(struct ds_cmd_stop *stop)
{
    *stop = (struct ds_cmd_stop){0};
    sigemptyset(&stop->signals);
    sigaddset(&stop->signals, SIGINT);
    sigaddset(&stop->signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop->signals, NULL);
}

bool ds_cmd_stop_came(void *arg)
{
    struct ds_cmd_stop *stop = arg;
    static const struct timespec at_once;

    if (!stop->came && sigtimedwait(&stop->signals, NULL, &at_once) > 0) {
        stop->came = true;
        sigprocmask(SIG_UNBLOCK, &stop->signals, NULL);
    }
    return stop->came;
}
