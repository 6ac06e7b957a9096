/* SPDX-License-Identifier: Apache-2.0 */
/* see exposition.h */
#include "dshard/exposition.h"

#include <assert.h>

static const char *const type_names[] = {"counter", "gauge", "histogram"};

/* Backslash and newline, and in a label's value the quote. */
static void add_escaped(struct ds_buf *out, const char *text, const char *special)
{
    for (;;) {
        size_t plain = strcspn(text, special);

        ds_buf_add(out, text, plain);
        text += plain;
        if (!*text)
            return;
        ds_buf_addc(out, '\\');
        ds_buf_addc(out, *text == '\n' ? 'n' : *text);
        text++;
    }
}

static void add_value(struct ds_buf *out, uint64_t value, unsigned decimals)
{
    char digits[DS_DECIMALS_MAX + 1];
    uint64_t one = 1, fraction;
    size_t len = decimals;

    assert(decimals <= DS_DECIMALS_MAX);
    for (unsigned i = 0; i < decimals; i++)
        one *= 10;
    ds_buf_addu(out, value / one);
    fraction = value % one;
    if (!fraction)
        return;
    for (size_t i = len; i-- > 0; fraction /= 10)
        digits[i] = (char)('0' + fraction % 10);
    while (digits[len - 1] == '0')
        len--;
    ds_buf_addc(out, '.');
    ds_buf_add(out, digits, len);
}

static void add_label(struct ds_buf *out, const struct ds_sample_label *label)
{
    ds_buf_adds(out, label->name);
    ds_buf_adds(out, "=\"");
    add_escaped(out, label->value, "\\\n\"");
    ds_buf_addc(out, '"');
}

void ds_exposition_family(struct ds_exposition *exposition, const char *name,
                          enum ds_family_type type, const char *help)
{
    struct ds_buf *out = exposition->out;

    exposition->family = name;
    ds_buf_adds(out, "# HELP ");
    ds_buf_adds(out, name);
    ds_buf_addc(out, ' ');
    add_escaped(out, help, "\\\n");
    ds_buf_adds(out, "\n# TYPE ");
    ds_buf_adds(out, name);
    ds_buf_addc(out, ' ');
    ds_buf_adds(out, type_names[type]);
    ds_buf_addc(out, '\n');
}

void ds_exposition_sample(struct ds_exposition *exposition,
                          const struct ds_sample_label *labels, size_t n, uint64_t value,
                          unsigned decimals)
{
    struct ds_buf *out = exposition->out;

    ds_buf_adds(out, exposition->family);
    for (size_t i = 0; i < n; i++) {
        ds_buf_addc(out, i ? ',' : '{');
        add_label(out, &labels[i]);
    }
    ds_buf_adds(out, n ? "} " : " ");
    add_value(out, value, decimals);
    ds_buf_addc(out, '\n');
}

void ds_exposition_gauge(struct ds_exposition *exposition, const char *name,
                         const char *help, uint64_t value, unsigned decimals)
{
    ds_exposition_family(exposition, name, DS_FAMILY_GAUGE, help);
    ds_exposition_sample(exposition, NULL, 0, value, decimals);
}

void ds_exposition_counter(struct ds_exposition *exposition, const char *name,
                           const char *help, uint64_t value)
{
    ds_exposition_family(exposition, name, DS_FAMILY_COUNTER, help);
    ds_exposition_sample(exposition, NULL, 0, value, 0);
}

static void add_bucket(const struct ds_exposition *exposition,
                       const struct ds_sample_label *label, const uint64_t *bound,
                       unsigned decimals)
{
    struct ds_buf *out = exposition->out;

    ds_buf_adds(out, exposition->family);
    ds_buf_adds(out, "_bucket{");
    add_label(out, label);
    ds_buf_adds(out, ",le=\"");
    if (bound)
        add_value(out, *bound, decimals);
    else
        ds_buf_adds(out, "+Inf");
    ds_buf_adds(out, "\"} ");
}

static void add_total(const struct ds_exposition *exposition, const char *suffix,
                      const struct ds_sample_label *label)
{
    struct ds_buf *out = exposition->out;

    ds_buf_adds(out, exposition->family);
    ds_buf_adds(out, suffix);
    ds_buf_addc(out, '{');
    add_label(out, label);
    ds_buf_adds(out, "} ");
}

void ds_exposition_histogram(struct ds_exposition *exposition,
                             const struct ds_sample_label *label,
                             const struct ds_histogram *histogram)
{
    struct ds_buf *out = exposition->out;
    uint64_t n = 0;

    for (size_t i = 0; i <= histogram->n_bounds; i++) {
        bool is_last = i == histogram->n_bounds;

        n += histogram->counts[i];
        add_bucket(exposition, label, is_last ? NULL : &histogram->bounds[i],
                   histogram->decimals);
        ds_buf_addu(out, n);
        ds_buf_addc(out, '\n');
    }
    add_total(exposition, "_sum", label);
    add_value(out, histogram->sum, histogram->decimals);
    ds_buf_addc(out, '\n');
    add_total(exposition, "_count", label);
    ds_buf_addu(out, n);
    ds_buf_addc(out, '\n');
}
