/* SPDX-License-Identifier: Apache-2.0 */
/* confedit_flow.c - a list in brackets: on one line, or with its items on lines of their
   own, with the commas behind them or in front. */
#include "confedit_impl.h"

static const char UNLIKE[] = "there is no ',' or ']' behind an item where it is expected";

static bool find_commas(struct ds_page *page, size_t *at)
{
    for (size_t i = 0; i < page->n_items; i++) {
        char c;

        *at = ds_page_skip(page, page->items[i].end);
        c = *at < page->len ? page->text[*at] : '\0';
        page->items[i].comma = c == ',' ? *at : DS_NOWHERE;
        if (c != ',' && (c != ']' || i + 1 < page->n_items))
            return false;
    }
    return true;
}

/* The comma before the item stands on its line, and nothing but blanks before that. */
static bool leads_with_comma(const struct ds_page *page, size_t i)
{
    size_t comma = i ? page->items[i - 1].comma : DS_NOWHERE;
    size_t line = ds_page_line(page, page->items[i].start);

    return i && comma >= line && ds_page_is_empty(page, line, comma) &&
           ds_page_is_empty(page, comma + 1, page->items[i].start);
}

static bool begins_line(const struct ds_page *page, size_t i)
{
    size_t start = page->items[i].start;

    return ds_page_is_empty(page, ds_page_line(page, start), start) ||
           leads_with_comma(page, i);
}

/* Behind the item, and behind its comma when that follows on the same line. */
static size_t behind(const struct ds_page *page, size_t i)
{
    const struct ds_page_item *item = &page->items[i];

    if (item->comma != DS_NOWHERE && ds_page_is_empty(page, item->end, item->comma))
        return item->comma + 1;
    return item->end;
}

/* Nothing else but a comment is on the item's line or lines. */
static bool has_own_lines(const struct ds_page *page, size_t i)
{
    return begins_line(page, i) && ds_page_is_rest(page, behind(page, i));
}

/* ---- removing ---- */

static bool kill_comma(struct ds_page *page, size_t i)
{
    size_t comma = page->items[i].comma;

    if (comma == DS_NOWHERE || page->dead[comma])
        return false;
    ds_page_kill(page, comma, comma + 1);
    return true;
}

/* One item less, one comma less: its own by the list's style, else the nearest. */
static void remove_comma(struct ds_page *page, size_t i)
{
    if (leads_with_comma(page, i) && kill_comma(page, i - 1))
        return;
    if (kill_comma(page, i))
        return;
    for (size_t k = i; k-- > 0;) {
        if (kill_comma(page, k))
            return;
    }
    for (size_t k = i + 1; k < page->n_items; k++) {
        if (kill_comma(page, k))
            return;
    }
}

/* What is left of the blanks in front. */
static void kill_blanks_before(struct ds_page *page, size_t at)
{
    while (at > page->from &&
           (page->dead[at - 1] || ds_page_is_blank(page->text[at - 1]))) {
        at--;
        ds_page_kill(page, at, at + 1);
    }
}

/* "[a,\n b]" without b is "[a]", unless a comment stands between. */
static void draw_together(struct ds_page *page, size_t i)
{
    size_t start = page->items[i].start, at = start;

    while (at > page->from &&
           (page->dead[at - 1] || strchr(" \t\r\n", page->text[at - 1])))
        at--;
    if (at > page->from && page->text[at - 1] == '[') /* nobody is left before it */
        return;
    for (size_t k = 0; k < i; k++) {
        if (page->items[k].end == at)
            ds_page_kill(page, at, start);
    }
    if (!begins_line(page, i)) /* or the bracket would lose its indent */
        kill_blanks_before(page, start);
}

/* Nothing is left of the line but its break, perhaps. */
static void close_line(struct ds_page *page, size_t at)
{
    size_t line = ds_page_line(page, at), stop = ds_page_break(page, at);

    for (size_t i = line; i < stop; i++) {
        if (!page->dead[i] && !ds_page_is_blank(page->text[i]))
            return;
    }
    ds_page_kill(page, line, ds_page_next(page, at));
}

/* "[a,\n b]" without a is "[b]". */
static bool pull_up_next(struct ds_page *page, size_t i, size_t end)
{
    size_t stop = ds_page_break(page, end), open = page->items[i].start, next;

    while (open > page->from && ds_page_is_blank(page->text[open - 1]))
        open--;
    if (i || page->n_items < 2 || page->items[1].gone || leads_with_comma(page, 1) ||
        !open || page->text[open - 1] != '[' || !ds_page_is_empty(page, end, stop))
        return false;
    next = ds_page_next(page, end);
    if (!ds_page_is_empty(page, next, page->items[1].start))
        return false;
    ds_page_kill(page, end, page->items[1].start);
    return true;
}

static void remove_inline(struct ds_page *page, size_t i)
{
    size_t start = page->items[i].start, end = behind(page, i), next = end;
    bool shared = i && page->items[i - 1].end > ds_page_line(page, start);

    ds_page_kill(page, start, end);
    if (pull_up_next(page, i, end))
        return;
    while (ds_page_is_blank(page->text[next]))
        next++;
    if (page->text[next] == ']') {
        draw_together(page, i);
    } else if (!ds_page_is_rest(page, next)) {
        ds_page_kill(page, end, next);
    } else {
        /* A comment behind several is not this one's. */
        if (page->text[next] == '#' && !shared)
            ds_page_kill(page, end, ds_page_break(page, next));
        kill_blanks_before(page, start);
        close_line(page, start);
    }
}

static void remove_item(struct ds_page *page, size_t i)
{
    const struct ds_page_item *item = &page->items[i];

    if (has_own_lines(page, i))
        ds_page_kill(page, ds_page_line(page, item->start),
                     ds_page_next(page, behind(page, i)));
    else
        remove_inline(page, i);
}

/* ---- adding ---- */

/* The fresh items with what stands before and behind each; the last without `behind`
   unless the list ends in a comma. */
static void add_fresh(struct ds_page *page, size_t at, const struct ds_buf *front,
                      const char *back, const char *last, const struct ds_buf *eol)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(SIZE_MAX / 2);

    for (size_t i = 0; i < page->n_fresh; i++) {
        ds_buf_add(&text, front->data, front->len);
        ds_buf_adds(&text, page->fresh[i]);
        ds_buf_adds(&text, i + 1 < page->n_fresh ? back : last);
        ds_buf_add(&text, eol->data, eol->len);
    }
    ds_page_insert(page, at, text.data, text.len);
}

/* Lines like that of item i, behind it. */
static void add_lines(struct ds_page *page, size_t i, bool trailing)
{
    const struct ds_page_item *item = &page->items[i];
    DS_AUTO(buf) struct ds_buf front = DS_BUF_INIT(SIZE_MAX / 2);
    DS_AUTO(buf) struct ds_buf eol = DS_BUF_INIT(16);
    size_t line = ds_page_line(page, item->start), end = behind(page, i);
    size_t stop = ds_page_break(page, end), next = ds_page_next(page, end);
    bool own = has_own_lines(page, i);
    bool leads = leads_with_comma(page, i) && !item->gone;
    bool has_comma = item->comma != DS_NOWHERE && !page->dead[item->comma];
    const char *back = leads ? "" : ",";

    if (!own) { /* the bracket closes behind it: a new line begins before each */
        stop = ds_page_break(page, i ? page->items[i - 1].end : page->from);
        ds_buf_add(&front, page->text + stop, ds_page_next(page, stop) - stop);
    } else {
        ds_buf_add(&eol, page->text + stop, next - stop);
    }
    ds_buf_add(&front, page->text + line, item->start - line);
    if (!item->gone && !has_comma && !leads)
        ds_page_insert(page, item->end, ",", 1);
    add_fresh(page, own ? next : end, &front, back, trailing && !leads ? "," : "", &eol);
}

static void add_inline(struct ds_page *page, size_t i, bool trailing)
{
    const struct ds_page_item *item = &page->items[i];
    size_t before = i ? page->items[i - 1].comma + 1 : 0;
    bool has_comma = item->comma != DS_NOWHERE && !page->dead[item->comma];
    DS_AUTO(buf) struct ds_buf front = DS_BUF_INIT(SIZE_MAX / 2);
    DS_AUTO(buf) struct ds_buf nothing = DS_BUF_INIT(0);

    if (!item->gone && !has_comma)
        ds_buf_addc(&front, ',');
    if (i && ds_page_is_empty(page, before, item->start))
        ds_buf_add(&front, page->text + before, item->start - before);
    else
        ds_buf_addc(&front, ' ');
    if (item->gone) { /* none is left: they stand where it stood */
        ds_buf_clear(&front);
        add_fresh(page, item->start, &front, ", ", trailing ? "," : "", &nothing);
        return;
    }
    add_fresh(page, has_comma ? item->comma + 1 : item->end, &front, has_comma ? "," : "",
              trailing ? "," : "", &nothing);
}

/* Whether an item's line shows how the next ones are to look. */
static bool is_pattern(const struct ds_page *page, size_t i)
{
    const struct ds_page_item *item = &page->items[i];

    if (!begins_line(page, i))
        return false;
    if (item->gone)
        return has_own_lines(page, i) && !leads_with_comma(page, i);
    return item->comma == DS_NOWHERE || page->dead[item->comma] ||
           leads_with_comma(page, i) || behind(page, i) > item->comma;
}

const char *ds_page_edit_flow(struct ds_page *page, size_t *at)
{
    size_t last = page->n_items - 1, kept = page->n_items;
    bool trailing;

    if (!find_commas(page, at))
        return UNLIKE;
    trailing = page->items[last].comma != DS_NOWHERE;
    for (size_t i = 0; i < page->n_items; i++) {
        if (page->items[i].gone)
            remove_comma(page, i);
        else
            kept = i;
    }
    for (size_t i = 0; i < page->n_items; i++) {
        if (page->items[i].gone)
            remove_item(page, i);
    }
    if (!page->n_fresh)
        return NULL;
    if (kept == page->n_items)
        kept = last;
    if (is_pattern(page, kept))
        add_lines(page, kept, trailing);
    else
        add_inline(page, kept, trailing);
    return NULL;
}
