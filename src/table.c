/* SPDX-License-Identifier: Apache-2.0 */
/* see table.h */
#include "dshard/table.h"

#include <assert.h>
#include <stdlib.h>

void ds_table_init(struct ds_table *table, const char *const *headings, size_t n)
{
    assert(n <= DS_TABLE_COLUMNS_MAX);
    *table = (struct ds_table){.n_columns = n};
    for (size_t i = 0; i < n; i++) {
        table->right[i] = headings[i][0] == '>';
        ds_table_add(table, headings[i] + table->right[i]);
    }
}

void ds_table_release(struct ds_table *table)
{
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct ds_table){0};
}

void ds_auto_table(struct ds_table *table)
{
    ds_table_release(table);
}

static void add_take(struct ds_table *table, char *text)
{
    table->cells =
        ds_xreallocarray(table->cells, table->n_cells + 1, sizeof *table->cells);
    table->cells[table->n_cells++] = text;
}

void ds_table_add(struct ds_table *table, const char *text)
{
    add_take(table, ds_xstrdup(text));
}

void ds_table_addf(struct ds_table *table, const char *fmt, ...)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(4096);
    va_list ap;

    va_start(ap, fmt);
    ds_buf_vaddf(&text, fmt, ap);
    va_end(ap);
    add_take(table, ds_buf_steal(&text));
}

/* Characters, not bytes; good enough for names and reasons. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void add_spaces(struct ds_buf *out, size_t n)
{
    while (n--)
        ds_buf_addc(out, ' ');
}

void ds_table_format(const struct ds_table *table, struct ds_buf *out)
{
    size_t widths[DS_TABLE_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < table->n_cells; i++) {
        size_t width = width_of(table->cells[i]);

        if (width > widths[i % table->n_columns])
            widths[i % table->n_columns] = width;
    }
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;
        size_t pad = widths[column] - width_of(table->cells[i]);

        if (table->right[column])
            add_spaces(out, pad);
        ds_buf_adds(out, table->cells[i]);
        if (!table->right[column])
            add_spaces(out, pad);
        if (column + 1 < table->n_columns) {
            add_spaces(out, 2);
            continue;
        }
        while (out->len && out->data[out->len - 1] == ' ')
            ds_buf_truncate(out, out->len - 1);
        ds_buf_addc(out, '\n');
    }
}
