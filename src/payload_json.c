/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of one group: its families, and the label sets of their series. */
#include "payload_impl.h"

#include <stdlib.h>

const char *ds_payload_str(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

bool ds_payload_number(const char *text, double *value)
{
    static const char *const words[] = {"NaN", "+Inf", "-Inf"};
    char *end;

    *value = strtod(text, &end);
    for (size_t i = 0; i < DS_COUNT(words); i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return *text && !*end && strspn(text, "0123456789.e+-") == strlen(text);
}

void ds_auto_keys(struct ds_payload_keys *keys)
{
    free(keys->items);
    ds_buf_release(&keys->text);
}

json_t *ds_payload_load(const char *json, size_t len, struct ds_error *err)
{
    json_error_t why;
    json_t *group = json_loadb(json, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);

    if (json_is_object(group))
        return group;
    if (!group && json_error_code(&why) == json_error_null_byte_in_key)
        ds_fail(err, DS_E_FAILED, "a family has a NUL byte in its name");
    else if (!group && json_error_code(&why) == json_error_duplicate_key)
        ds_fail(err, DS_E_FAILED,
                "two families have names that are not UTF-8, which the"
                " list does not tell apart");
    else if (group)
        ds_fail(err, DS_E_FORMAT, "a group is no JSON object");
    else
        ds_fail(err, DS_E_FORMAT, "a group is no JSON from byte %d on", why.position);
    json_decref(group);
    return NULL;
}

int ds_payload_read_family(struct ds_payload_family *out, const char *name, json_t *json,
                           struct ds_error *err)
{
    json_t *metrics = json_object_get(json, "metrics");

    /* The labels of the group, unless a family of that name hides them.  Their values are
       strings, also when one is called "metrics". */
    if (!json_is_object(json) ||
        (strcmp(name, "labels") == 0 && (!metrics || json_is_string(metrics))))
        return 0;
    if (!json_is_array(metrics) && !json_is_null(metrics))
        return ds_fail(err, DS_E_FORMAT, "a family of the group has no metrics");
    *out = (struct ds_payload_family){name, json, metrics};
    return 1;
}

static int add_key(struct ds_payload_keys *keys, const json_t *metric,
                   struct ds_pairs *pairs, struct ds_error *err)
{
    json_t *labels = json_object_get(metric, "labels"), *value;
    size_t start = keys->text.len;
    const char *name;

    if (!json_is_object(labels))
        return ds_fail(err, DS_E_FORMAT, "a metric of the group has no labels");
    pairs->n = 0;
    json_object_foreach(labels, name, value)
    {
        struct ds_pair pair = {name, json_string_value(value), strlen(name),
                               json_string_length(value)};

        if (!pair.value)
            return ds_fail(err, DS_E_FORMAT,
                           "a metric of the group has a label that is no string");
        ds_pairs_add(pairs, &pair);
    }
    ds_pairs_add_key(pairs, &keys->text);
    keys->items[keys->n++].len = keys->text.len - start;
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    return ds_piece_compare(a, b);
}

static bool has_equals(const struct ds_payload_keys *keys)
{
    struct ds_piece *sorted = ds_xreallocarray(NULL, keys->n + 1, sizeof *sorted);
    bool found = false;

    for (size_t i = 0; i < keys->n; i++)
        sorted[i] = keys->items[i];
    qsort(sorted, keys->n, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < keys->n; i++)
        found |= ds_piece_compare(&sorted[i - 1], &sorted[i]) == 0;
    free(sorted);
    return found;
}

int ds_payload_fail_twice(struct ds_error *err, const char *name)
{
    DS_AUTO(buf) struct ds_buf quoted = DS_BUF_INIT(DS_PAYLOAD_MAX);

    ds_buf_add_quoted(&quoted, name, strlen(name));
    return ds_fail(err, DS_E_FAILED,
                   "family %s has the same series twice: no Pushgateway takes that",
                   quoted.data);
}

int ds_payload_read_keys(struct ds_payload_keys *keys,
                         const struct ds_payload_family *family, struct ds_error *err)
{
    DS_AUTO(pairs) struct ds_pairs pairs = {0};
    const char *at;
    json_t *metric;
    size_t i;

    keys->items =
        ds_xreallocarray(NULL, json_array_size(family->metrics) + 1, sizeof *keys->items);
    json_array_foreach(family->metrics, i, metric)
    {
        if (add_key(keys, metric, &pairs, err) < 0)
            return -1;
    }
    if (ds_buf_check(&keys->text, "the label sets of a family", err) < 0)
        return -1;
    at = keys->text.data;
    for (i = 0; i < keys->n; i++) {
        keys->items[i].data = at;
        at += keys->items[i].len;
    }
    return has_equals(keys) ? ds_payload_fail_twice(err, family->name) : 0;
}
