/* SPDX-License-Identifier: Apache-2.0 */
/* see num.h */
#include "dshard/num.h"

#include <inttypes.h>
#include <stdio.h>

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {
    {"w", 604800000}, {"d", 86400000}, {"h", 3600000},
    {"m", 60000},     {"s", 1000},     {"ms", 1},
};

static const int64_t DURATION_MAX_MS = INT64_C(10) * 366 * 86400000;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits at *s and moves it behind them; false: none, or more than UINT64_MAX. */
static bool scan_digits(const char **s, uint64_t *out)
{
    uint64_t n = 0;

    if (!is_digit(**s))
        return false;
    for (; is_digit(**s); (*s)++) {
        uint64_t digit = (uint64_t)(**s - '0');

        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

int ds_num_parse(const char *s, uint64_t min, uint64_t max, uint64_t *out,
                 struct ds_error *err)
{
    const char *at = s;
    uint64_t n;

    for (at = s; is_digit(*at); at++)
        ;
    if (at == s || *at)
        return ds_fail(err, DS_E_FORMAT, "'%s' is not a whole number", s);
    at = s;
    if (!scan_digits(&at, &n) || n < min || n > max)
        return ds_fail(err, DS_E_FORMAT, "'%s' is out of range: %" PRIu64 " to %" PRIu64,
                       s, min, max);
    *out = n;
    return 0;
}

int ds_num_hex(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static const struct unit *find_unit(const char **s)
{
    size_t len = 0;

    while ((*s)[len] >= 'a' && (*s)[len] <= 'z')
        len++;
    for (size_t i = 0; i < DS_COUNT(units); i++) {
        if (strlen(units[i].name) == len && memcmp(units[i].name, *s, len) == 0) {
            *s += len;
            return &units[i];
        }
    }
    return NULL;
}

/* One number with its unit, in nanoseconds-free arithmetic: whole + fraction/scale. */
static bool scan_part(const char **s, int64_t *ms)
{
    uint64_t whole = 0, fraction = 0, scale = 1;
    const struct unit *unit;

    if (!scan_digits(s, &whole))
        return false;
    if (**s == '.') {
        const char *from = ++*s;

        if (!scan_digits(s, &fraction) || *s - from > 6)
            return false;
        for (; from < *s; from++)
            scale *= 10;
    }
    unit = find_unit(s);
    if (!unit || whole > (uint64_t)(DURATION_MAX_MS / unit->ms))
        return false;
    fraction *= (uint64_t)unit->ms;
    if (fraction % scale)
        return false;
    *ms += (int64_t)(whole * (uint64_t)unit->ms + fraction / scale);
    return *ms <= DURATION_MAX_MS;
}

int ds_duration_parse(const char *s, int64_t *ms, struct ds_error *err)
{
    const char *at = s;
    int64_t total = 0;

    if (strcmp(s, "0") == 0) {
        *ms = 0;
        return 0;
    }
    do {
        if (!scan_part(&at, &total))
            return ds_fail(err, DS_E_FORMAT,
                           "'%s' is not a duration like 500ms, 5s or 1m30s", s);
    } while (*at);
    *ms = total;
    return 0;
}

void ds_duration_format(int64_t ms, char out[DS_DURATION_TEXT_MAX])
{
    size_t len = 0;

    if (ms <= 0) {
        memcpy(out, "0s", sizeof "0s");
        return;
    }
    for (size_t i = 2; i < DS_COUNT(units); i++) { /* from hours down, as Go prints */
        int64_t n = ms / units[i].ms;

        ms %= units[i].ms;
        if (n)
            len += (size_t)snprintf(out + len, DS_DURATION_TEXT_MAX - len,
                                    "%" PRId64 "%s", n, units[i].name);
    }
}

void ds_duration_format_short(int64_t ms, char out[DS_DURATION_TEXT_MAX])
{
    for (size_t i = 1; i < DS_COUNT(units) - 1; i++) {
        if (ms >= units[i].ms) {
            snprintf(out, DS_DURATION_TEXT_MAX, "%" PRId64 "%s", ms / units[i].ms,
                     units[i].name);
            return;
        }
    }
    memcpy(out, "0s", sizeof "0s");
}

/* Digits with a point among them as *n * 10^*scale; what does not fit into *n is cut. */
static bool scan_decimal(const char **at, const char *end, uint64_t *n, int *scale)
{
    bool point = false, any = false;

    for (; *at < end && (is_digit(**at) || (**at == '.' && !point)); (*at)++) {
        bool fits = *n <= (UINT64_MAX - 9) / 10;

        if (**at == '.') {
            point = true;
            continue;
        }
        any = true;
        if (fits)
            *n = *n * 10 + (uint64_t)(**at - '0');
        *scale += !fits - point;
    }
    return any;
}

/* "e+09" or nothing, up to the end, added to *scale. */
static bool scan_exponent(const char *at, const char *end, int *scale)
{
    int exponent = 0;
    bool negative;

    if (at == end)
        return true;
    if (*at++ != 'e' || at == end)
        return false;
    negative = *at == '-';
    at += *at == '-' || *at == '+';
    if (at == end || end - at > 4)
        return false;
    for (; at < end; at++) {
        if (!is_digit(*at))
            return false;
        exponent = exponent * 10 + (*at - '0');
    }
    *scale += negative ? -exponent : exponent;
    return true;
}

bool ds_seconds_parse(const char *s, size_t len, int64_t *us)
{
    const char *at = s, *end = s + len;
    bool negative = len && *s == '-', up = false;
    int scale = 6; /* from seconds to microseconds */
    uint64_t n = 0;

    at += negative;
    if (len > 1000 || !scan_decimal(&at, end, &n, &scale) ||
        !scan_exponent(at, end, &scale))
        return false;
    for (; scale < 0 && (n || up); scale++) {
        up = n % 10 >= 5;
        n /= 10;
    }
    n += up;
    for (; scale > 0 && n; scale--) {
        if (n > INT64_MAX / 10)
            return false;
        n *= 10;
    }
    if (n > INT64_MAX)
        return false;
    *us = negative ? -(int64_t)n : (int64_t)n;
    return true;
}
