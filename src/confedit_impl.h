/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confedit_impl.h - what the parts of confedit share; private to them.
 *
 * A page is the file's text with the places of the list's items in it.  Editing marks
 * bytes as dead and notes insertions; nothing moves before ds_page_write().
 */
#ifndef DSHARD_CONFEDIT_IMPL_H
#define DSHARD_CONFEDIT_IMPL_H

#include "dshard/buf.h"
#include "dshard/yaml.h"

#define DS_NOWHERE SIZE_MAX

struct ds_page_item {
    size_t start, end; /* of its text, without comments; offsets in bytes */
    size_t dash;       /* in a block list */
    size_t comma;      /* in a list in brackets: the one behind it; DS_NOWHERE: none */
    bool gone;         /* to be removed */
};

struct ds_page {
    char *text;     /* ends in a line break, if need be in one that is not in the file */
    size_t len;     /* with that line break */
    size_t from;    /* where the first line begins: behind a BOM */
    size_t cut;     /* bytes of the line break that is not in the file */
    bool *dead;     /* by byte */
    char **inserts; /* by byte: what comes before it, owned; NULL: nothing */
    struct ds_page_item *items;
    size_t n_items;
    char **fresh; /* the texts of the items to add, owned */
    size_t n_fresh;
    /* where the offset of a mark was looked up last */
    unsigned line;
    size_t line_at;
};

void ds_page_init(struct ds_page *page, const char *text, size_t len);
void ds_page_release(struct ds_page *page);
void ds_auto_page(struct ds_page *page);

/* ---- places ---- */

size_t ds_page_offset(struct ds_page *page, struct ds_yaml_mark mark);
size_t ds_page_line(const struct ds_page *page, size_t at);  /* where its line begins */
size_t ds_page_break(const struct ds_page *page, size_t at); /* where its line break is */
size_t ds_page_next(const struct ds_page *page, size_t at);  /* where the next begins */
unsigned ds_page_line_number(const struct ds_page *page, size_t at); /* from 1 */

static inline bool ds_page_is_blank(char c)
{
    return c == ' ' || c == '\t';
}
/* Whether there are only blanks from here to there. */
bool ds_page_is_empty(const struct ds_page *page, size_t from, size_t to);
/* Whether there is nothing but a comment in the rest of the line. */
bool ds_page_is_rest(const struct ds_page *page, size_t at);
/* The next character that is no blank, line break or part of a comment. */
size_t ds_page_skip(const struct ds_page *page, size_t at);

/* ---- changes ---- */

void ds_page_kill(struct ds_page *page, size_t from, size_t to);
void ds_page_insert(struct ds_page *page, size_t at, const char *text, size_t len);
void ds_page_write(const struct ds_page *page, struct ds_buf *out);

/* Finds the items' places, and changes the list: those that are gone are removed, the
   fresh ones added at the end.  NULL, or why it cannot be done, and *at where. */
const char *ds_page_edit_block(struct ds_page *page, size_t list_at, size_t *at);
const char *ds_page_edit_flow(struct ds_page *page, size_t *at);

#endif
