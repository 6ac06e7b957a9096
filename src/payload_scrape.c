/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds series in delimited MetricFamily messages.  Only what tells series apart is read.
 * A field with another wire type than the schema's is one that nobody knows, as for Go: a
 * client can push such things, and one client must not be able to stop every move from
 * its server.
 */
#include "payload_impl.h"

#include <stdlib.h>

/* Numbers of the fields that we look at. */
enum {
    FAMILY_NAME = 1,
    FAMILY_HELP = 2,
    FAMILY_METRIC = 4,
    METRIC_LABEL = 1,
    METRIC_GAUGE = 2,
    METRIC_COUNTER = 3,
    METRIC_UNTYPED = 5,
    LABEL_NAME = 1,
    LABEL_VALUE = 2,
    VALUE = 1,
};

/* More than a body of DS_PAYLOAD_MAX bytes has, unless it was made to fill memory. */
enum {
    FAMILIES_MAX = 1000 * 1000,
    SERIES_MAX = 5 * 1000 * 1000,
    LABELS_MAX = 100 * 1000
};

struct ds_scrape {
    struct ds_scrape_family *families; /* sorted by name */
    struct ds_scrape_series *series;
    size_t n_families, cap_families, n_series, cap_series;
    struct ds_buf text; /* keys and rests, which the pieces point into at the end */
};

/* ---- label sets ---------------------------------------------------------------- */

void ds_pairs_add(struct ds_pairs *pairs, const struct ds_pair *pair)
{
    if (pairs->n == pairs->cap) {
        pairs->cap = pairs->cap ? 2 * pairs->cap : 8;
        pairs->items = ds_xreallocarray(pairs->items, pairs->cap, sizeof *pairs->items);
    }
    pairs->items[pairs->n++] = *pair;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct ds_pair *p = a, *q = b;
    int order = ds_piece_compare(&(struct ds_piece){p->name, p->name_len},
                                 &(struct ds_piece){q->name, q->name_len});

    return order ? order
                 : ds_piece_compare(&(struct ds_piece){p->value, p->value_len},
                                    &(struct ds_piece){q->value, q->value_len});
}

void ds_pairs_add_key(struct ds_pairs *pairs, struct ds_buf *out)
{
    if (pairs->n)
        qsort(pairs->items, pairs->n, sizeof *pairs->items, compare_pairs);
    for (size_t i = 0; i < pairs->n; i++) {
        ds_buf_add(out, pairs->items[i].name, pairs->items[i].name_len);
        ds_buf_addc(out, '\xFF');
        ds_buf_add(out, pairs->items[i].value, pairs->items[i].value_len);
        ds_buf_addc(out, '\xFF');
    }
}

void ds_auto_pairs(struct ds_pairs *pairs)
{
    free(pairs->items);
}

/* ---- the index ----------------------------------------------------------------- */

static bool read_label(struct ds_piece rest, struct ds_pairs *pairs)
{
    struct ds_pair pair = {"", "", 0, 0};
    struct ds_field field = {0};

    if (pairs->n == LABELS_MAX)
        return false;
    while (rest.len) {
        if (!ds_field_take(&rest, &field))
            return false;
        if (ds_field_is_bytes(&field, LABEL_NAME)) {
            pair.name = field.value.data;
            pair.name_len = field.value.len;
        } else if (ds_field_is_bytes(&field, LABEL_VALUE)) {
            pair.value = field.value.data;
            pair.value_len = field.value.len;
        }
    }
    ds_pairs_add(pairs, &pair);
    return true;
}

/* Until the text has its final place, the pieces in it have a length only. */
static bool read_metric(struct ds_scrape *scrape, struct ds_piece metric,
                        struct ds_pairs *pairs)
{
    struct ds_scrape_series series = {.metric = metric};
    struct ds_field field = {0};
    size_t start = scrape->text.len;

    if (scrape->n_series == SERIES_MAX)
        return false;
    pairs->n = 0;
    for (struct ds_piece rest = metric; rest.len;) {
        if (!ds_field_take(&rest, &field))
            return false;
        if (ds_field_is_bytes(&field, METRIC_LABEL) && !read_label(field.value, pairs))
            return false;
    }
    ds_pairs_add_key(pairs, &scrape->text);
    series.key.len = scrape->text.len - start;
    if (scrape->n_series == scrape->cap_series) {
        scrape->cap_series = scrape->cap_series ? 2 * scrape->cap_series : 64;
        scrape->series =
            ds_xreallocarray(scrape->series, scrape->cap_series, sizeof *scrape->series);
    }
    scrape->series[scrape->n_series++] = series;
    return true;
}

static bool read_metrics(struct ds_scrape *scrape, struct ds_scrape_family *family,
                         struct ds_piece rest, struct ds_pairs *pairs)
{
    struct ds_field field = {0};

    while (rest.len) {
        if (!ds_field_take(&rest, &field))
            return false;
        if (!ds_field_is_bytes(&field, FAMILY_METRIC))
            continue;
        if (!read_metric(scrape, field.value, pairs))
            return false;
        family->n++;
    }
    return true;
}

static bool read_family(struct ds_scrape *scrape, struct ds_piece message,
                        struct ds_pairs *pairs)
{
    struct ds_scrape_family family = {.name = {"", 0}, .help = {"", 0}};
    struct ds_field field = {0};
    size_t start = scrape->text.len;

    if (scrape->n_families == FAMILIES_MAX)
        return false;
    for (struct ds_piece rest = message; rest.len;) {
        if (!ds_field_take(&rest, &field))
            return false;
        if (ds_field_is_bytes(&field, FAMILY_NAME))
            family.name = field.value;
        else if (ds_field_is_bytes(&field, FAMILY_HELP))
            family.help = field.value;
        else if (!ds_field_is_bytes(&field, FAMILY_METRIC))
            ds_buf_add(&scrape->text, field.whole.data, field.whole.len);
    }
    family.rest.len = scrape->text.len - start;
    if (!read_metrics(scrape, &family, message, pairs))
        return false;
    if (scrape->n_families == scrape->cap_families) {
        scrape->cap_families = scrape->cap_families ? 2 * scrape->cap_families : 64;
        scrape->families = ds_xreallocarray(scrape->families, scrape->cap_families,
                                            sizeof *scrape->families);
    }
    scrape->families[scrape->n_families++] = family;
    return true;
}

static int compare_families(const void *a, const void *b)
{
    const struct ds_scrape_family *f = a, *g = b;

    return ds_piece_compare(&f->name, &g->name);
}

static int compare_series(const void *a, const void *b)
{
    const struct ds_scrape_series *s = a, *t = b;

    return ds_piece_compare(&s->key, &t->key);
}

/* In the order in which they were read: gives every piece its place in the text. */
static void place_pieces(struct ds_scrape *scrape)
{
    const char *at = scrape->text.data;
    size_t n = 0;

    for (size_t i = 0; i < scrape->n_families; i++) {
        struct ds_scrape_family *family = &scrape->families[i];
        size_t first = n;

        family->rest.data = at;
        at += family->rest.len;
        for (n += family->n; first < n; first++) {
            scrape->series[first].key.data = at;
            at += scrape->series[first].key.len;
        }
        if (!family->n)
            continue;
        family->series = &scrape->series[n - family->n];
        qsort(&scrape->series[n - family->n], family->n, sizeof *scrape->series,
              compare_series);
    }
}

static int check_names(const struct ds_scrape *scrape, struct ds_error *err)
{
    for (size_t i = 1; i < scrape->n_families; i++) {
        if (compare_families(&scrape->families[i - 1], &scrape->families[i]) == 0)
            return ds_fail(err, DS_E_FORMAT,
                           "the scrape has a metric family more than once");
    }
    return 0;
}

void ds_scrape_free(struct ds_scrape *scrape)
{
    if (!scrape)
        return;
    free(scrape->families);
    free(scrape->series);
    ds_buf_release(&scrape->text);
    free(scrape);
}

static void ds_auto_scrape(struct ds_scrape **scrape)
{
    ds_scrape_free(*scrape);
}

struct ds_scrape *ds_scrape_new(const char *data, size_t len, struct ds_error *err)
{
    DS_AUTO(scrape) struct ds_scrape *scrape = ds_xcalloc(1, sizeof *scrape);
    DS_AUTO(pairs) struct ds_pairs pairs = {0};
    struct ds_piece rest = {data, len}, message;
    uint64_t message_len;

    ds_buf_init(&scrape->text, DS_PAYLOAD_MAX);
    while (rest.len) {
        size_t at = (size_t)(rest.data - data);

        if (!ds_varint_take(&rest, &message_len) ||
            !ds_piece_take(&rest, message_len, &message) ||
            !read_family(scrape, message, &pairs)) {
            ds_fail(err, DS_E_FORMAT,
                    "the scrape is cut, no delimited protobuf, or has absurdly much:"
                    " byte %zu of %zu",
                    at, len);
            return NULL;
        }
    }
    if (ds_buf_check(&scrape->text, "the index of the scrape", err) < 0)
        return NULL;
    place_pieces(scrape);
    if (scrape->n_families)
        qsort(scrape->families, scrape->n_families, sizeof *scrape->families,
              compare_families);
    if (check_names(scrape, err) < 0)
        return NULL;
    return ds_steal(&scrape);
}

const struct ds_scrape_family *ds_scrape_family(const struct ds_scrape *scrape,
                                                struct ds_piece name)
{
    const struct ds_scrape_family wanted = {.name = name};

    if (!scrape->n_families)
        return NULL;
    return bsearch(&wanted, scrape->families, scrape->n_families, sizeof wanted,
                   compare_families);
}

const struct ds_scrape_series *ds_scrape_find(const struct ds_scrape_family *family,
                                              struct ds_piece key, bool *twice)
{
    const struct ds_scrape_series wanted = {.key = key}, *found;

    *twice = false;
    if (!family->n)
        return NULL;
    found = bsearch(&wanted, family->series, family->n, sizeof wanted, compare_series);
    if (!found)
        return NULL;
    *twice =
        (found > family->series && compare_series(found - 1, found) == 0) ||
        (found + 1 < family->series + family->n && compare_series(found + 1, found) == 0);
    return found;
}

bool ds_scrape_value(const struct ds_scrape_series *series, double *value)
{
    struct ds_piece rest = series->metric;
    struct ds_field field = {0};
    bool found = false;

    while (rest.len && ds_field_take(&rest, &field)) {
        if (!ds_field_is_bytes(&field, METRIC_GAUGE) &&
            !ds_field_is_bytes(&field, METRIC_COUNTER) &&
            !ds_field_is_bytes(&field, METRIC_UNTYPED))
            continue;
        found = true;
        *value = 0;
        for (struct ds_piece inner = field.value; inner.len;) {
            if (!ds_field_take(&inner, &field))
                return false;
            if (field.number == VALUE && field.wire == DS_WIRE_I64)
                *value = ds_field_double(&field);
        }
    }
    return found;
}
