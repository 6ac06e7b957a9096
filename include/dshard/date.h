/* SPDX-License-Identifier: Apache-2.0 */
/* date.h - times in writing: those of others, and ours. */
#ifndef DSHARD_DATE_H
#define DSHARD_DATE_H

#include "dshard/base.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT", the one form of RFC 7231 that is written today, in
   Unix milliseconds; -1: it is something else, no real day, or before 1970. */
int64_t ds_date_parse_http(const char *text);

/*
 * "2026-01-31T12:00:00.123456789Z", with any number of decimals or none, or with "+05:30"
 * or "-03:30" for the Z as Go writes it outside UTC (RFC 3339), in Unix microseconds,
 * rounded down; -1: it is something else, no real day, or before 1970.
 */
int64_t ds_date_parse_rfc3339(const char *text, size_t len);

enum { DS_DATE_TEXT_MAX = 32 };
/* "2026-01-31T12:00:00Z" (RFC 3339), the decimals dropped; "?" for what is in no calendar
   of four digits. */
void ds_date_format(int64_t wall_ms, char out[DS_DATE_TEXT_MAX]);

#endif
