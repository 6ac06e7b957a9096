/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - words to systemd: sd_notify(3)'s protocol, one datagram each.  Without
 * $NOTIFY_SOCKET nothing happens.
 */
#ifndef DSHARD_NOTIFY_H
#define DSHARD_NOTIFY_H

#include "dshard/base.h"

/* For example "READY=1\nSTATUS=4 members". */
void ds_notify(const char *text);

/* How often WATCHDOG=1 is wanted (half of $WATCHDOG_USEC), in ms; 0: not at all. */
int64_t ds_notify_watchdog_ms(void);

#endif
