/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line an event on stderr, for the programs that run for long.
 *
 *     level=info msg="ring changed" members=4 moved=0.21
 *
 * A time stamp (RFC 3339) stands in front; when stderr leads to the journal (as
 * JOURNAL_STREAM says), which adds a time itself, it is the level as syslog's number
 * instead: <6> for info.  Values are quoted and escaped when they need it, so bytes from
 * outside can go into a field as they are.
 */
#ifndef DSHARD_LOG_H
#define DSHARD_LOG_H

#include "dshard/base.h"

enum ds_log_level { DS_LOG_ERROR, DS_LOG_WARN, DS_LOG_INFO, DS_LOG_DEBUG };

/* Lines above this level are dropped; DS_LOG_INFO at start. */
void ds_log_set_level(enum ds_log_level level);

/* msg is a constant text; the rest are pairs of strings (key, value) ended by NULL:
   ds_log(DS_LOG_WARN, "server down", "server", address, "why", why, NULL).
   A pair whose value is NULL is left out (and does not end the list: the key does). */
void ds_log(enum ds_log_level level, const char *msg, ...) __attribute__((sentinel));

#endif
