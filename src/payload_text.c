/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A family from a group's JSON as text, format 0.0.4, or why that would not be the same.
 * The JSON has all numbers as Go prints them, and Go reads the text: so they are passed
 * on as they stand.  Measured with Pushgateway 1.5.1: all bytes of a label value and of a
 * help arrive, NUL too, but blanks in front of a help; counts go through a float; NaN as
 * a bound is dropped.
 */
#include "payload_impl.h"

#include "dshard/num.h"

#include <math.h>
#include <stdlib.h>

static const char REPLACED[] = "\xEF\xBF\xBD"; /* U+FFFD */
static const uint64_t COUNT_MAX = UINT64_C(1) << 53;

struct kind;
typedef int add_fn(struct ds_buf *out, const struct kind *kind,
                   const struct ds_payload_family *family, const json_t *metric,
                   struct ds_error *err);
struct kind {
    const char *json, *text;   /* its names */
    add_fn *add;               /* NULL: text cannot say it */
    const char *parts, *bound; /* for those of many lines: key in the JSON, label */
    const char *part_suffix;   /* of these lines */
};

/* One bucket or quantile. */
struct part {
    const char *bound, *text;
    double value; /* of bound */
};

static int refuse(struct ds_error *err, const char *name, const char *why)
{
    DS_AUTO(buf) struct ds_buf quoted = DS_BUF_INIT(DS_PAYLOAD_MAX);

    ds_buf_add_quoted(&quoted, name, strlen(name));
    return ds_fail(err, DS_E_FAILED, "family %s cannot be copied from the list alone: %s",
                   quoted.data, why);
}

static bool is_name(const char *name, bool colons)
{
    if (!*name || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name; name++) {
        bool fits = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                    (*name >= '0' && *name <= '9') || *name == '_' ||
                    (colons && *name == ':');

        if (!fits)
            return false;
    }
    return true;
}

static void add_escaped(struct ds_buf *out, const char *text, size_t len, bool quotes)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            ds_buf_adds(out, "\\n");
        else if (text[i] == '\\' || (quotes && text[i] == '"'))
            ds_buf_addf(out, "\\%c", text[i]);
        else
            ds_buf_addc(out, text[i]);
    }
}

static bool has_replaced(const json_t *string)
{
    const char *text = json_string_value(string);

    return memmem(text, json_string_length(string), REPLACED, sizeof REPLACED - 1);
}

/* `{a="b",BOUND="..."} `; kind->bound may not be among the metric's own. */
static int add_labels(struct ds_buf *out, const struct kind *kind,
                      const struct ds_payload_family *family, const json_t *metric,
                      const char *bound, struct ds_error *err)
{
    json_t *labels = json_object_get(metric, "labels"), *value;
    const char *name, *comma = "{";

    json_object_foreach(labels, name, value)
    {
        if (!is_name(name, false) || strcmp(name, "__name__") == 0 ||
            (kind->bound && strcmp(name, kind->bound) == 0))
            return refuse(err, family->name,
                          "text has no way to write one of its label"
                          " names");
        if (has_replaced(value))
            return refuse(err, family->name, "a label value is not UTF-8, or has U+FFFD");
        ds_buf_addf(out, "%s%s=\"", comma, name);
        add_escaped(out, json_string_value(value), json_string_length(value), true);
        ds_buf_addc(out, '"');
        comma = ",";
    }
    if (bound)
        ds_buf_addf(out, "%s%s=\"%s\"", comma, kind->bound, bound);
    ds_buf_adds(out, bound || *comma == ',' ? "} " : " ");
    return 0;
}

static int add_line(struct ds_buf *out, const struct kind *kind,
                    const struct ds_payload_family *family, const json_t *metric,
                    const char *suffix, const struct part *part, struct ds_error *err)
{
    ds_buf_addf(out, "%s%s", family->name, suffix);
    if (add_labels(out, kind, family, metric, part->bound, err) < 0)
        return -1;
    ds_buf_addf(out, "%s\n", part->text);
    return 0;
}

/* The number in metric[key], as text. */
static const char *number_of(const json_t *metric, const char *key,
                             const struct ds_payload_family *family, struct ds_error *err)
{
    const char *text = ds_payload_str(json_object_get(metric, key));
    double value;

    if (text && ds_payload_number(text, &value))
        return text;
    ds_ignore(refuse(err, family->name, "a value in the list is no number")); /* is -1 */
    return NULL;
}

static int check_count(const char *text, const struct ds_payload_family *family,
                       struct ds_error *err)
{
    struct ds_error ignored = DS_ERROR_INIT;
    uint64_t n;

    if (text && ds_num_parse(text, 0, COUNT_MAX, &n, &ignored) == 0)
        return 0;
    return refuse(err, family->name, "a count is no whole number up to 2^53");
}

static int add_simple(struct ds_buf *out, const struct kind *kind,
                      const struct ds_payload_family *family, const json_t *metric,
                      struct ds_error *err)
{
    struct part part = {.text = number_of(metric, "value", family, err)};

    return part.text ? add_line(out, kind, family, metric, "", &part, err) : -1;
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *p = a, *q = b;

    return (p->value > q->value) - (p->value < q->value);
}

/* The parts in the order of their bounds, which Go's JSON sorts as text. */
static int read_parts(struct part *parts, const struct kind *kind,
                      const struct ds_payload_family *family, json_t *json,
                      struct ds_error *err)
{
    struct part *part = parts;
    const char *bound;
    json_t *text;

    json_object_foreach(json, bound, text)
    {
        double value;

        *part = (struct part){.bound = bound, .text = ds_payload_str(text)};
        if (!ds_payload_number(part->bound, &part->value) || isnan(part->value))
            return refuse(err, family->name, "a quantile or bucket has no bound");
        if (*kind->part_suffix && check_count(part->text, family, err) < 0)
            return -1;
        if (!part->text || !ds_payload_number(part->text, &value))
            return refuse(err, family->name, "a value in the list is no number");
        part++;
    }
    qsort(parts, (size_t)(part - parts), sizeof *parts, compare_parts);
    return 0;
}

static int add_parts(struct ds_buf *out, const struct kind *kind,
                     const struct ds_payload_family *family, const json_t *metric,
                     struct ds_error *err)
{
    json_t *json = json_object_get(metric, kind->parts);
    size_t n = json_object_size(json);
    DS_AUTO(ptr) void *memory = ds_xreallocarray(NULL, n + 1, sizeof(struct part));
    struct part *parts = memory;

    if (read_parts(parts, kind, family, json, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (add_line(out, kind, family, metric, kind->part_suffix, &parts[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Buckets that the list does not show: it is a native histogram, or may be one. */
static bool is_native(const struct kind *kind, const json_t *metric, const char *sum,
                      const char *count)
{
    const json_t *parts = json_object_get(metric, kind->parts);

    if (!*kind->part_suffix)
        return false;
    return !json_is_object(parts) || (!json_object_size(parts) &&
                                      (strcmp(sum, "0") != 0 || strcmp(count, "0") != 0));
}

static int add_compound(struct ds_buf *out, const struct kind *kind,
                        const struct ds_payload_family *family, const json_t *metric,
                        struct ds_error *err)
{
    struct part sum = {.text = number_of(metric, "sum", family, err)};
    struct part count = {.text = ds_payload_str(json_object_get(metric, "count"))};

    if (!sum.text || check_count(count.text, family, err) < 0)
        return -1;
    if (is_native(kind, metric, sum.text, count.text))
        return refuse(err, family->name, "the list does not show its buckets");
    if (add_parts(out, kind, family, metric, err) < 0 ||
        add_line(out, kind, family, metric, "_sum", &sum, err) < 0)
        return -1;
    return add_line(out, kind, family, metric, "_count", &count, err);
}

/* A line "h_count ..." is one of the family h only if there is no family h_count. */
static bool has_suffix_twin(const json_t *group, const char *name)
{
    static const char *const suffixes[] = {"_count", "_sum", "_bucket"};
    DS_AUTO(buf) struct ds_buf other = DS_BUF_INIT(DS_PAYLOAD_MAX);

    for (size_t i = 0; i < DS_COUNT(suffixes); i++) {
        ds_buf_clear(&other);
        ds_buf_adds(&other, name);
        ds_buf_adds(&other, suffixes[i]);
        if (json_object_get(group, other.data))
            return true;
    }
    return false;
}

static const struct kind *find_kind(const struct ds_payload_family *family)
{
    static const struct kind kinds[] = {
        {"COUNTER", "counter", add_simple, NULL, NULL, ""},
        {"GAUGE", "gauge", add_simple, NULL, NULL, ""},
        {"UNTYPED", "untyped", add_simple, NULL, NULL, ""},
        {"SUMMARY", "summary", add_compound, "quantiles", "quantile", ""},
        {"HISTOGRAM", "histogram", add_compound, "buckets", "le", "_bucket"},
    };
    const char *type = ds_payload_str(json_object_get(family->json, "type"));

    for (size_t i = 0; type && i < DS_COUNT(kinds); i++) {
        if (strcmp(kinds[i].json, type) == 0)
            return &kinds[i];
    }
    return NULL;
}

static int add_header(struct ds_buf *out, const struct kind *kind,
                      const struct ds_payload_family *family, struct ds_error *err)
{
    const json_t *help = json_object_get(family->json, "help");
    const char *text = json_string_value(help);

    if (text && (*text == ' ' || *text == '\t' || has_replaced(help)))
        return refuse(err, family->name,
                      "its help begins with a blank, is not UTF-8, or has U+FFFD");
    if (text) {
        ds_buf_addf(out, "# HELP %s ", family->name);
        add_escaped(out, text, json_string_length(help), false);
        ds_buf_addc(out, '\n');
    }
    ds_buf_addf(out, "# TYPE %s %s\n", family->name, kind->text);
    return 0;
}

int ds_payload_add_text(struct ds_buf *out, const json_t *group,
                        const struct ds_payload_family *family, struct ds_error *err)
{
    const struct kind *kind = find_kind(family);
    json_t *metric;
    size_t i;

    if (!kind)
        return refuse(err, family->name, "text has no such type");
    if (!is_name(family->name, true))
        return refuse(err, family->name, "text has no way to write such a name");
    if (kind->bound && has_suffix_twin(group, family->name))
        return refuse(err, family->name,
                      "another family has its name with _count, _sum or _bucket");
    if (add_header(out, kind, family, err) < 0)
        return -1;
    json_array_foreach(family->metrics, i, metric)
    {
        if (kind->add(out, kind, family, metric, err) < 0)
            return -1;
    }
    return 0;
}
