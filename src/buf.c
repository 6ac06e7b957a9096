/* SPDX-License-Identifier: Apache-2.0 */
/* see buf.h */
#include "dshard/buf.h"
#include "dshard/utf8.h"

#include <stdio.h>
#include <stdlib.h>

char ds_buf_empty[1];

void ds_buf_init(struct ds_buf *buf, size_t max)
{
    *buf = (struct ds_buf)DS_BUF_INIT(max);
}

void ds_buf_release(struct ds_buf *buf)
{
    if (buf->cap)
        free(buf->data);
    ds_buf_init(buf, buf->max);
}

void ds_auto_buf(struct ds_buf *buf)
{
    ds_buf_release(buf);
}

void ds_buf_clear(struct ds_buf *buf)
{
    ds_buf_truncate(buf, 0);
    buf->over = false;
}

void ds_buf_truncate(struct ds_buf *buf, size_t len)
{
    if (len >= buf->len)
        return;
    buf->len = len;
    buf->data[len] = '\0';
}

void ds_buf_reserve(struct ds_buf *buf, size_t more)
{
    size_t need, cap = buf->cap ? buf->cap : 64;

    if (more > buf->max - buf->len)
        more = buf->max - buf->len;
    need = buf->len + more + 1;
    if (need <= buf->cap)
        return;
    while (cap < need)
        cap *= 2;
    if (cap - 1 > buf->max)
        cap = buf->max + 1;
    buf->data = ds_xreallocarray(buf->cap ? buf->data : NULL, cap, 1);
    buf->data[buf->len] = '\0';
    buf->cap = cap;
}

/* What does not fit into the memory that there is. */
static void add_more(struct ds_buf *buf, const char *data, size_t len)
{
    if (buf->over || len > buf->max - buf->len) {
        buf->over = true;
        return;
    }
    if (!len)
        return; /* there may be no memory yet, and no data */
    ds_buf_reserve(buf, len);
    ds_buf_add(buf, data, len);
}

void ds_buf_add(struct ds_buf *buf, const char *data, size_t len)
{
    if (len >= buf->cap - buf->len || buf->over) {
        add_more(buf, data, len);
        return;
    }
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void ds_buf_vaddf(struct ds_buf *buf, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0 || buf->over || (size_t)n > buf->max - buf->len) {
        buf->over = true;
    } else {
        ds_buf_reserve(buf, (size_t)n);
        buf->len +=
            (size_t)vsnprintf(buf->data + buf->len, buf->cap - buf->len, fmt, again);
    }
    va_end(again);
}

void ds_buf_addf(struct ds_buf *buf, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    ds_buf_vaddf(buf, fmt, ap);
    va_end(ap);
}

void ds_buf_addu(struct ds_buf *buf, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    ds_buf_add(buf, digits + at, sizeof digits - at);
}

/* The characters that JSON and our log lines both write as a backslash and a letter. */
static char short_escape(char c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return c;
    default:
        return '\0';
    }
}

void ds_buf_add_json(struct ds_buf *buf, const char *data, size_t len)
{
    ds_buf_addc(buf, '"');
    for (size_t i = 0; i < len;) {
        size_t n = ds_utf8_len(data + i, len - i);
        char esc = short_escape(data[i]);

        if (!n)
            ds_buf_adds(buf, "\xEF\xBF\xBD"); /* U+FFFD for what is not UTF-8 */
        else if (esc)
            ds_buf_addf(buf, "\\%c", esc);
        else if ((unsigned char)data[i] < 0x20 || data[i] == 0x7F)
            ds_buf_addf(buf, "\\u%04x", (unsigned)(unsigned char)data[i]);
        else
            ds_buf_add(buf, data + i, n);
        i += n ? n : 1;
    }
    ds_buf_addc(buf, '"');
}

/* Control characters and what is no character at all: neither HTML nor XML may have them,
   not even escaped.  n: the length of the character, in UTF-8. */
static bool is_in_no_document(const unsigned char *c, size_t n)
{
    if (n == 1)
        return (c[0] < 0x20 && c[0] != '\n' && c[0] != '\t') || c[0] == 0x7F;
    if (n == 2)
        return c[0] == 0xC2 && c[1] < 0xA0;
    return n == 3 && c[0] == 0xEF && c[1] == 0xBF && c[2] >= 0xBE;
}

void ds_buf_add_html(struct ds_buf *buf, const char *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = ds_utf8_len(data + i, len - i);

        if (!n || is_in_no_document((const unsigned char *)data + i, n) ||
            ds_utf8_is_turning(data + i, n))
            ds_buf_adds(buf, "\xEF\xBF\xBD");
        else if (strchr("&<>\"'", data[i]) && data[i])
            ds_buf_addf(buf, "&#%d;", data[i]);
        else
            ds_buf_add(buf, data + i, n);
        i += n ? n : 1;
    }
}

/* Terminals obey those of two bytes (U+0080 to U+009F), too. */
static bool is_control(const unsigned char *c, size_t n)
{
    return n == 1 ? c[0] < 0x20 || c[0] == 0x7F : n == 2 && c[0] == 0xC2 && c[1] < 0xA0;
}

static void add_hex(struct ds_buf *buf, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ds_buf_addf(buf, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
}

void ds_buf_add_quoted(struct ds_buf *buf, const char *data, size_t len)
{
    ds_buf_addc(buf, '"');
    for (size_t i = 0; i < len;) {
        size_t n = ds_utf8_len(data + i, len - i);
        char esc = short_escape(data[i]);

        if (esc)
            ds_buf_addf(buf, "\\%c", esc);
        else if (!n)
            add_hex(buf, data + i, 1);
        else if (is_control((const unsigned char *)data + i, n) ||
                 ds_utf8_is_turning(data + i, n))
            add_hex(buf, data + i, n);
        else
            ds_buf_add(buf, data + i, n);
        i += n ? n : 1;
    }
    ds_buf_addc(buf, '"');
}

char *ds_buf_steal(struct ds_buf *buf)
{
    char *s = buf->cap ? buf->data : ds_xstrdup("");

    buf->cap = 0;
    ds_buf_release(buf);
    return s;
}

int ds_buf_check(const struct ds_buf *buf, const char *what, struct ds_error *err)
{
    if (buf->over)
        return ds_fail(err, DS_E_FORMAT, "%s is longer than %zu bytes", what, buf->max);
    return 0;
}
