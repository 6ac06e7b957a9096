/* SPDX-License-Identifier: Apache-2.0 */
/*
 * num.h - the only place where text becomes a number.
 *
 * Digits only (no sign, no space, no 0x), the whole text is used, the range is checked.
 */
#ifndef DSHARD_NUM_H
#define DSHARD_NUM_H

#include "dshard/base.h"
#include "dshard/error.h"

/* Errors: "'5x' is not a whole number", "'0' is out of range: 1 to 100" (DS_E_FORMAT). */
int ds_num_parse(const char *s, uint64_t min, uint64_t max, uint64_t *out,
                 struct ds_error *err) DS_NODISCARD;

/* The value of a hexadecimal digit, or -1. */
int ds_num_hex(char c);

/*
 * A duration as Go and Prometheus write it: numbers with units ms, s, m, h, d, w in any
 * mixture, with decimals if wanted ("500ms", "1m30s", "1.5s"), or a plain "0".  In
 * milliseconds; what is not a whole number of them is an error, and so is anything over
 * ten years.
 */
int ds_duration_parse(const char *s, int64_t *ms, struct ds_error *err) DS_NODISCARD;

enum { DS_DURATION_TEXT_MAX = 40 };
/* The shortest exact form that ds_duration_parse() reads: "1m30s", "500ms", "0s". */
void ds_duration_format(int64_t ms, char out[DS_DURATION_TEXT_MAX]);

/* For people: "3s", "2m", "5h", "3d", rounded down, negative as "0s". */
void ds_duration_format_short(int64_t ms, char out[DS_DURATION_TEXT_MAX]);

/* Seconds as Go prints a float64 ("1.7953544304516907e+09", "0"), to the nearest whole
   microsecond; reckoned in decimals, so that it depends on no locale.  False for anything
   else, NaN and infinities included, and beyond 292,000 years. */
bool ds_seconds_parse(const char *s, size_t len, int64_t *us) DS_NODISCARD;

#endif
