/* SPDX-License-Identifier: Apache-2.0 */
/* see clock.h */
#include "dshard/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t now_ms(clockid_t clock)
{
    struct timespec ts = {0};

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t ds_clock_mono_ms(void)
{
    return now_ms(CLOCK_MONOTONIC);
}

int64_t ds_clock_mono_ns(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t ds_clock_boot_ms(void)
{
    return now_ms(CLOCK_BOOTTIME);
}

int64_t ds_clock_wall_ms(void)
{
    return now_ms(CLOCK_REALTIME);
}

int64_t ds_clock_mono_tick_ms(void)
{
    return now_ms(CLOCK_MONOTONIC_COARSE);
}

int64_t ds_clock_wall_tick_ms(void)
{
    return now_ms(CLOCK_REALTIME_COARSE);
}

void ds_clock_format(int64_t wall_ms, char out[DS_CLOCK_TEXT_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char date[DS_CLOCK_TEXT_MAX - 8] = "?";
    struct tm tm;

    if (gmtime_r(&seconds, &tm))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, DS_CLOCK_TEXT_MAX, "%s.%03dZ", date, (int)(wall_ms % 1000));
}

void ds_clock_sleep_ms(int64_t ms)
{
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
                          .tv_nsec = (long)(ms % 1000) * 1000000};

    if (ms > 0)
        nanosleep(&ts, NULL);
}
