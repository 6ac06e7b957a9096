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

bool ds_cmd_stop_wait(struct ds_cmd_stop *stop, int64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * 1000000};

    if (!stop->came && sigtimedwait(&stop->signals, NULL, &time) > 0) {
        stop->came = true;
        if (!stop->patient)
            sigprocmask(SIG_UNBLOCK, &stop->signals, NULL);
    }
    return stop->came;
}

bool ds_cmd_stop_came(void *arg)
{
    return ds_cmd_stop_wait(arg, 0);
}
