/* SPDX-License-Identifier: Apache-2.0 */
/* see date.h */
#include "dshard/date.h"

#include <time.h>

/* Letters of a form: 0 stands for any digit, ? for any byte, others for themselves. */
static bool has_form(const char *text, const char *form)
{
    for (size_t i = 0; form[i]; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';

        if (form[i] == '0' ? !is_digit : form[i] != '?' && form[i] != text[i])
            return false;
    }
    return true;
}

/* The number that n digits make. */
static int number(const char *text, size_t n)
{
    int value = 0;

    for (size_t i = 0; i < n; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

/* The index of a name of three letters in a list of them; -1: it is not there. */
static int find_name(const char *names, const char *name)
{
    for (int i = 0; names[3 * i]; i++) {
        if (memcmp(names + 3 * i, name, 3) == 0)
            return i;
    }
    return -1;
}

static bool is_day(const struct tm *tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = tm->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 &&
           tm->tm_mday <= days[tm->tm_mon] + (tm->tm_mon == 1 && leap);
}

/* Days since 1970-01-01.  The year is reckoned from March on, so that a leap day ends it:
   a server's list has tens of thousands of times, and timegm() is slow. */
static int64_t to_days(const struct tm *tm)
{
    bool early = tm->tm_mon < 2;
    int64_t year = tm->tm_year + 1900 - early, month = tm->tm_mon + 1 + (early ? 12 : 0);

    return 365 * year + year / 4 - year / 100 + year / 400 + (153 * month - 457) / 5 +
           tm->tm_mday - 719469;
}

/* Unix seconds; -1: there is no such moment.  A leap second is the next minute's first.
 */
static int64_t to_unix(const struct tm *tm, bool check_weekday)
{
    int64_t days = to_days(tm);

    if (tm->tm_year < 70 || tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60 ||
        !is_day(tm) || (check_weekday && (days + 4) % 7 != tm->tm_wday))
        return -1;
    return ((days * 24 + tm->tm_hour) * 60 + tm->tm_min) * 60 + tm->tm_sec;
}

int64_t ds_date_parse_http(const char *text)
{
    static const char form[] = "???, 00 ??? 0000 00:00:00 GMT";
    struct tm tm = {0};
    int64_t seconds;

    if (strlen(text) != strlen(form) || !has_form(text, form))
        return -1;
    tm.tm_wday = find_name("SunMonTueWedThuFriSat", text);
    tm.tm_mon = find_name("JanFebMarAprMayJunJulAugSepOctNovDec", text + 8);
    if (tm.tm_wday < 0 || tm.tm_mon < 0)
        return -1;
    tm.tm_mday = number(text + 5, 2);
    tm.tm_year = number(text + 12, 4) - 1900;
    tm.tm_hour = number(text + 17, 2);
    tm.tm_min = number(text + 20, 2);
    tm.tm_sec = number(text + 23, 2);
    seconds = to_unix(&tm, true);
    return seconds < 0 ? -1 : seconds * 1000;
}

/* Seconds east of UTC; false: it is no zone. */
static bool read_zone(const char *text, size_t len, int *east_s)
{
    int hours, minutes;

    *east_s = 0;
    if (len == 1)
        return text[0] == 'Z';
    if (len != 6 || !has_form(text, "?00:00") || (text[0] != '+' && text[0] != '-'))
        return false;
    hours = number(text + 1, 2);
    minutes = number(text + 4, 2);
    *east_s = (hours * 60 + minutes) * 60 * (text[0] == '-' ? -1 : 1);
    return hours < 24 && minutes < 60;
}

int64_t ds_date_parse_rfc3339(const char *text, size_t len)
{
    static const char form[] = "0000-00-00T00:00:00";
    const size_t whole = strlen(form);
    size_t at = whole;
    int64_t seconds, us = 0, worth = 100000;
    struct tm tm = {0};
    int east_s;

    if (len <= whole || !has_form(text, form))
        return -1;
    if (text[at] == '.') {
        for (at++; at < len && text[at] >= '0' && text[at] <= '9'; at++) {
            us += (text[at] - '0') * worth;
            worth /= 10;
        }
        if (at == whole + 1)
            return -1;
    }
    tm.tm_year = number(text, 4) - 1900;
    tm.tm_mon = number(text + 5, 2) - 1;
    tm.tm_mday = number(text + 8, 2);
    tm.tm_hour = number(text + 11, 2);
    tm.tm_min = number(text + 14, 2);
    tm.tm_sec = number(text + 17, 2);
    seconds = to_unix(&tm, false);
    if (seconds < 0 || !read_zone(text + at, len - at, &east_s) || seconds < east_s)
        return -1;
    return (seconds - east_s) * 1000000 + us;
}

void ds_date_format(int64_t wall_ms, char out[DS_DATE_TEXT_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    memcpy(out, "?", sizeof "?");
    if (wall_ms >= 0 && gmtime_r(&seconds, &tm) && tm.tm_year <= 9999 - 1900)
        strftime(out, DS_DATE_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
