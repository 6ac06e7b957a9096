/* SPDX-License-Identifier: Apache-2.0 */
/* confedit_block.c - a list of "- item" lines. */
#include "confedit_impl.h"

static const char UNLIKE[] = "an item does not begin with '-' where it is expected";
static const char SHARED[] = "an item shares its line with something else";

/* Between an item and the next dash there are blanks, line breaks and comments only. */
static const char *find_dashes(struct ds_page *page, size_t list_at, size_t *at)
{
    *at = list_at;
    for (size_t i = 0; i < page->n_items; i++) {
        if (*at >= page->len || page->text[*at] != '-')
            return UNLIKE;
        page->items[i].dash = *at;
        *at = ds_page_skip(page, page->items[i].end);
    }
    return NULL;
}

static const char *remove_lines(struct ds_page *page, const struct ds_page_item *item)
{
    size_t line = ds_page_line(page, item->dash);

    if (!ds_page_is_empty(page, line, item->dash) || !ds_page_is_rest(page, item->end))
        return SHARED;
    ds_page_kill(page, line, ds_page_next(page, item->end));
    return NULL;
}

/* Lines like that of the last item, behind it. */
static const char *add_lines(struct ds_page *page, const struct ds_page_item *last)
{
    DS_AUTO(buf) struct ds_buf lines = DS_BUF_INIT(SIZE_MAX / 2);
    size_t line = ds_page_line(page, last->dash);
    size_t eol = ds_page_break(page, last->end), next = ds_page_next(page, last->end);
    bool alike = ds_page_is_empty(page, last->dash + 1, last->start);

    if (!ds_page_is_rest(page, last->end))
        return SHARED;
    for (size_t i = 0; i < page->n_fresh; i++) {
        if (ds_page_is_empty(page, line, last->dash))
            ds_buf_add(&lines, page->text + line, last->dash - line);
        else
            ds_buf_addf(&lines, "%*s", (int)(last->dash - line), "");
        ds_buf_addc(&lines, '-');
        if (alike)
            ds_buf_add(&lines, page->text + last->dash + 1, last->start - last->dash - 1);
        else
            ds_buf_addc(&lines, ' ');
        ds_buf_adds(&lines, page->fresh[i]);
        ds_buf_add(&lines, page->text + eol, next - eol);
    }
    ds_page_insert(page, next, lines.data, lines.len);
    return NULL;
}

const char *ds_page_edit_block(struct ds_page *page, size_t list_at, size_t *at)
{
    const char *why = find_dashes(page, list_at, at);

    for (size_t i = 0; !why && i < page->n_items; i++) {
        *at = page->items[i].start;
        if (page->items[i].gone)
            why = remove_lines(page, &page->items[i]);
    }
    if (!why && page->n_fresh)
        why = add_lines(page, &page->items[page->n_items - 1]);
    return why;
}
