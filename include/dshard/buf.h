/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - bytes that grow up to a stated maximum.
 *
 * `data` is never NULL and always ends in a NUL that `len` does not count.  An addition
 * that would pass `max` adds nothing and sets `over`; later ones add nothing either, so a
 * cut text is never mistaken for a whole one as long as ds_buf_check() is asked at the
 * end.
 */
#ifndef DSHARD_BUF_H
#define DSHARD_BUF_H

#include "dshard/base.h"
#include "dshard/error.h"

struct ds_buf {
    char *data;
    size_t len; /* bytes in use, without the NUL */
    size_t cap; /* bytes allocated, at most max + 1; 0: data is the shared empty string */
    size_t max; /* the most that len may become */
    bool over;  /* something did not fit */
};

extern char ds_buf_empty[1];

/* Declares the maximum; allocates nothing yet. */
#define DS_BUF_INIT(maximum)                                                             \
    {                                                                                    \
        ds_buf_empty, 0, 0, (maximum), false                                             \
    }

void ds_buf_init(struct ds_buf *buf, size_t max);
void ds_buf_release(struct ds_buf *buf); /* may be called twice */
void ds_auto_buf(struct ds_buf *buf);

void ds_buf_clear(struct ds_buf *buf); /* empties it and keeps the memory */
void ds_buf_truncate(struct ds_buf *buf, size_t len);
void ds_buf_reserve(struct ds_buf *buf,
                    size_t more); /* room for more bytes, within max */

void ds_buf_add(struct ds_buf *buf, const char *data, size_t len);

/* Inline: the compiler knows the length of most texts. */
static inline void ds_buf_adds(struct ds_buf *buf, const char *s)
{
    ds_buf_add(buf, s, strlen(s));
}

static inline void ds_buf_addc(struct ds_buf *buf, char c)
{
    ds_buf_add(buf, &c, 1);
}

void ds_buf_addf(struct ds_buf *buf, const char *fmt, ...) DS_PRINTF(2, 3);
void ds_buf_vaddf(struct ds_buf *buf, const char *fmt, va_list ap) DS_PRINTF(2, 0);
void ds_buf_addu(struct ds_buf *buf, uint64_t n); /* decimal, faster than addf */

/* Appenders that escape: never assemble these formats with "%s". */
void ds_buf_add_json(struct ds_buf *buf, const char *data, size_t len); /* with quotes */
void ds_buf_add_html(struct ds_buf *buf, const char *data, size_t len); /* & < > " ',
            and U+FFFD for what no document may have, or what would turn its text */
void ds_buf_add_quoted(struct ds_buf *buf, const char *data, size_t len); /* for logs:
            "..." with \n \r \t \" \\ and \xHH for the bytes of what else is a control
            character, is not UTF-8, or would turn the line */

/* The bytes, to be freed by the caller; buf is empty afterwards. */
char *ds_buf_steal(struct ds_buf *buf) DS_NODISCARD;

/* 0, or DS_E_FORMAT "WHAT is longer than N bytes" when something did not fit. */
int ds_buf_check(const struct ds_buf *buf, const char *what, struct ds_error *err)
    DS_NODISCARD;

#endif
