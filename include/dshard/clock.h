/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - what time it is.  Pure modules are told the time; only work, cmd and fcgi
 * ask.
 */
#ifndef DSHARD_CLOCK_H
#define DSHARD_CLOCK_H

#include "dshard/base.h"

/* Milliseconds that never step; only differences mean something. */
int64_t ds_clock_mono_ms(void);
/* The same clock in nanoseconds, for what is short. */
int64_t ds_clock_mono_ns(void);
/* Likewise, and it goes on while the machine is suspended: for how old something is. */
int64_t ds_clock_boot_ms(void);

/* Unix time in milliseconds: for stamps that people and other processes read. */
int64_t ds_clock_wall_ms(void);

/* The same two as the kernel knew them at its last tick, some milliseconds ago (never
   more than 10): for who asks often.  They take 5 ns instead of 22, and do not wait for
   all that the processor has begun. */
int64_t ds_clock_mono_tick_ms(void);
int64_t ds_clock_wall_tick_ms(void);

enum { DS_CLOCK_TEXT_MAX = 32 };
/* RFC 3339 in UTC with milliseconds: 2026-01-31T12:00:00.123Z. */
void ds_clock_format(int64_t wall_ms, char out[DS_CLOCK_TEXT_MAX]);

/* Sleeps unless a signal comes first.  For commands only: nothing in watch sleeps. */
void ds_clock_sleep_ms(int64_t ms);

#endif
