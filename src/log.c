/* SPDX-License-Identifier: Apache-2.0 */
/* see log.h */
#include "dshard/log.h"
#include "dshard/buf.h"
#include "dshard/clock.h"

#include <stdlib.h>
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
    if (!getenv("JOURNAL_STREAM")) {
        char stamp[DS_CLOCK_TEXT_MAX];

        ds_clock_format(ds_clock_wall_ms(), stamp);
        ds_buf_addf(&line, "time=%s ", stamp);
    }
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
