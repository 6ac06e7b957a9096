/* SPDX-License-Identifier: Apache-2.0 */
/* confedit_page.c - the places in a text, and what is to happen there. */
#include "confedit_impl.h"
#include "dshard/utf8.h"

#include <stdlib.h>

/* The bytes of the line break that is there, by YAML's rules; 0: there is none. */
static size_t break_len(const char *text, size_t left)
{
    if (left >= 2 && text[0] == '\r' && text[1] == '\n')
        return 2;
    if (left && (text[0] == '\r' || text[0] == '\n'))
        return 1;
    if (left >= 2 && memcmp(text, "\xC2\x85", 2) == 0)
        return 2;
    if (left >= 3 &&
        (memcmp(text, "\xE2\x80\xA8", 3) == 0 || memcmp(text, "\xE2\x80\xA9", 3) == 0))
        return 3;
    return 0;
}

/* The file's last line break; "\n" when it has none. */
static const char *last_break(const char *text, size_t len)
{
    for (size_t i = len; i-- > 0;) {
        if (text[i] == '\n')
            return i && text[i - 1] == '\r' ? "\r\n" : "\n";
        if (text[i] == '\r')
            return "\r";
    }
    return "\n";
}

static bool ends_in_break(const char *text, size_t len)
{
    for (size_t n = 1; n <= 3 && n <= len; n++) {
        if (break_len(text + len - n, n) == n)
            return true;
    }
    return false;
}

void ds_page_init(struct ds_page *page, const char *text, size_t len)
{
    const char *eol = ends_in_break(text, len) ? "" : last_break(text, len);

    *page = (struct ds_page){.cut = strlen(eol), .len = len + strlen(eol), .line = 1};
    page->text = ds_xmalloc(page->len + 1);
    memcpy(page->text, text, len);
    memcpy(page->text + len, eol, page->cut + 1);
    page->dead = ds_xcalloc(page->len + 1, sizeof page->dead[0]);
    page->inserts = ds_xcalloc(page->len + 1, sizeof page->inserts[0]);
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        page->from = 3;
    page->line_at = page->from;
}

void ds_page_release(struct ds_page *page)
{
    for (size_t i = 0; page->inserts && i <= page->len; i++)
        free(page->inserts[i]);
    for (size_t i = 0; i < page->n_fresh; i++)
        free(page->fresh[i]);
    free(page->inserts);
    free(page->fresh);
    free(page->items);
    free(page->dead);
    free(page->text);
    *page = (struct ds_page){0};
}

void ds_auto_page(struct ds_page *page)
{
    ds_page_release(page);
}

/* ---- places ---- */

size_t ds_page_break(const struct ds_page *page, size_t at)
{
    while (at < page->len && !break_len(page->text + at, page->len - at))
        at++;
    return at;
}

size_t ds_page_next(const struct ds_page *page, size_t at)
{
    at = ds_page_break(page, at);
    return at + break_len(page->text + at, page->len - at);
}

size_t ds_page_line(const struct ds_page *page, size_t at)
{
    for (; at > page->from; at--) {
        if (ends_in_break(page->text, at))
            break;
    }
    return at;
}

size_t ds_page_offset(struct ds_page *page, struct ds_yaml_mark mark)
{
    size_t at;

    if (mark.line < page->line) {
        page->line = 1;
        page->line_at = page->from;
    }
    for (; page->line < mark.line; page->line++)
        page->line_at = ds_page_next(page, page->line_at);
    at = page->line_at;
    for (unsigned i = 1; i < mark.column && at < page->len; i++) {
        size_t n = ds_utf8_len(page->text + at, page->len - at);

        at += n ? n : 1;
    }
    return at;
}

unsigned ds_page_line_number(const struct ds_page *page, size_t at)
{
    unsigned n = 1;

    for (size_t next = ds_page_next(page, page->from); next <= at && next < page->len;
         next = ds_page_next(page, next))
        n++;
    return n;
}

bool ds_page_is_empty(const struct ds_page *page, size_t from, size_t to)
{
    while (from < to && ds_page_is_blank(page->text[from]))
        from++;
    return from >= to;
}

static size_t skip_blanks(const struct ds_page *page, size_t at)
{
    while (at < page->len && ds_page_is_blank(page->text[at]))
        at++;
    return at;
}

bool ds_page_is_rest(const struct ds_page *page, size_t at)
{
    at = skip_blanks(page, at);
    return at == page->len || page->text[at] == '#' ||
           break_len(page->text + at, page->len - at);
}

size_t ds_page_skip(const struct ds_page *page, size_t at)
{
    at = skip_blanks(page, at);
    while (at < page->len && ds_page_is_rest(page, at))
        at = skip_blanks(page, ds_page_next(page, at));
    return at;
}

/* ---- changes ---- */

void ds_page_kill(struct ds_page *page, size_t from, size_t to)
{
    memset(page->dead + from, true, to - from);
}

void ds_page_insert(struct ds_page *page, size_t at, const char *text, size_t len)
{
    char *before = page->inserts[at];

    page->inserts[at] = ds_xasprintf("%s%.*s", before ? before : "", (int)len, text);
    free(before);
}

void ds_page_write(const struct ds_page *page, struct ds_buf *out)
{
    size_t start = out->len;

    for (size_t i = 0; i <= page->len; i++) {
        if (page->inserts[i])
            ds_buf_adds(out, page->inserts[i]);
        if (i < page->len && !page->dead[i])
            ds_buf_addc(out, page->text[i]);
    }
    /* What was not there at the end is not there now. */
    if (page->cut && out->len - start >= page->cut && !out->over)
        ds_buf_truncate(out, out->len - page->cut);
}
