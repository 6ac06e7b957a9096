/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - columns of text for people: as wide as they need to be, two spaces apart. */
#ifndef DSHARD_TABLE_H
#define DSHARD_TABLE_H

#include "dshard/base.h"
#include "dshard/buf.h"

enum { DS_TABLE_COLUMNS_MAX = 16 };

struct ds_table {
    size_t n_columns, n_cells;
    char **cells;                     /* owned, row after row */
    bool right[DS_TABLE_COLUMNS_MAX]; /* columns that end at the right: numbers */
};

/* headings: n of them; one that begins with '>' makes its column end at the right. */
void ds_table_init(struct ds_table *table, const char *const *headings, size_t n);
void ds_table_release(struct ds_table *table);
void ds_auto_table(struct ds_table *table);

/* The next cell, from left to right and row after row. */
void ds_table_add(struct ds_table *table, const char *text);
void ds_table_addf(struct ds_table *table, const char *fmt, ...) DS_PRINTF(2, 3);

/* Appends the table; no spaces at the ends of lines. */
void ds_table_format(const struct ds_table *table, struct ds_buf *out);

#endif
