/* SPDX-License-Identifier: Apache-2.0 */
/* see log.h */
#include "dshard/log.h"
#include "dshard/buf.h"
#include "dshard/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192 };

static enum ds_log_level max_level = DS_LOG_INFO;

void ds_log_set_level(enum ds_log_level level)
{
    max_level = level;
}

static const char *level_name(enum ds_log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    return names[level];
}

/* Whether stderr is the stream to the journal that JOURNAL_STREAM (DEVICE:INODE) names:
   who starts us may have inherited the variable and have led stderr to a file. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char mine[64];
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(mine, sizeof mine, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(mine, stream) == 0;
}

/* The journal has a time of its own, and takes the level from a number as syslog has it.
 */
static void add_head(struct ds_buf *line, enum ds_log_level level)
{
    static const char priorities[] = {'3', '4', '6', '7'};
    char stamp[DS_CLOCK_TEXT_MAX];

    if (is_journal()) {
        ds_buf_addf(line, "<%c>", priorities[level]);
        return;
    }
    ds_clock_format(ds_clock_wall_ms(), stamp);
    ds_buf_addf(line, "time=%s ", stamp);
}

static bool needs_quotes(const char *value)
{
    if (!*value)
        return true;
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\')
            return true;
    }
    return false;
}

static void add_value(struct ds_buf *line, const char *value)
{
    if (needs_quotes(value))
        ds_buf_add_quoted(line, value, strlen(value));
    else
        ds_buf_adds(line, value);
}

void ds_log(enum ds_log_level level, const char *msg, ...)
{
    DS_AUTO(buf) struct ds_buf line = DS_BUF_INIT(LINE_MAX_BYTES);
    const char *key;
    ssize_t written;
    va_list ap;

    if (level > max_level)
        return;
    add_head(&line, level);
    ds_buf_addf(&line, "level=%s msg=", level_name(level));
    add_value(&line, msg);
    va_start(ap, msg);
    while ((key = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);

        if (!value)
            continue;
        ds_buf_addf(&line, " %s=", key);
        add_value(&line, value);
    }
    va_end(ap);
    if (line.over) { /* fields that did not fit are missing: say so */
        ds_buf_truncate(&line, LINE_MAX_BYTES - sizeof " cut=true\n");
        line.over = false;
        ds_buf_adds(&line, " cut=true");
    }
    ds_buf_addc(&line, '\n');
    written = write(STDERR_FILENO, line.data, line.len);
    ds_ignore(written < 0); /* there is nowhere to say that stderr is gone */
}
