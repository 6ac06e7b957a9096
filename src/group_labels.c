/* SPDX-License-Identifier: Apache-2.0 */
/* From the labels of a group in a list to its identity and its hash. */
#include "dshard/murmur3.h"
#include "group_impl.h"
#include "groupkey_impl.h"

#include <stdlib.h>

/* Go shows U+FFFD for each byte that is not UTF-8. */
static bool has_replacement(const char *value, size_t len)
{
    return memmem(value, len, "\xEF\xBF\xBD", 3) != NULL;
}

static int decode(struct ds_groupkey *key, const struct ds_json *json,
                  struct ds_json_text string, const char **at, size_t *len)
{
    size_t before = key->decoded.len;

    if (ds_json_decode(string, &key->decoded) < 0)
        return ds_json_fail(json, "a label is not UTF-8");
    *at = key->decoded.data + before;
    *len = key->decoded.len - before;
    return 0;
}

static int add_label(struct ds_group *group, struct ds_groupkey *key,
                     const struct ds_label *label)
{
    bool is_instance = label->name_len == 8 && memcmp(label->name, "instance", 8) == 0;

    /* Series have it always, groups have not: only an empty one leaves a doubt. */
    if ((group->flags & DS_GROUP_GUESSED) && is_instance && !label->value_len)
        return 0;
    if (is_instance)
        group->flags &= ~(unsigned)DS_GROUP_GUESSED;
    if (!ds_label_name_is_good(label->name, label->name_len))
        group->flags |= DS_GROUP_ODD_NAME;
    if (has_replacement(label->value, label->value_len))
        group->flags |= DS_GROUP_REPLACED;
    if (label->name_len != 3 || memcmp(label->name, "job", 3) != 0) {
        *ds_groupkey_add_label(key) = *label;
        return 0;
    }
    if (key->job.value_len)
        return -1;
    key->job = *label;
    return 0;
}

static int compare_labels(const void *a, const void *b)
{
    const struct ds_label *x = a, *y = b;
    bool shorter = x->name_len < y->name_len;
    int order = memcmp(x->name, y->name, shorter ? x->name_len : y->name_len);

    return order ? order : shorter ? -1 : x->name_len > y->name_len;
}

/* Reads the object of labels into *key. */
static int read_labels(struct ds_group *group, struct ds_json *json,
                       struct ds_groupkey *key)
{
    struct ds_json_text name, value;
    struct ds_label label = {0};
    size_t n = 0;
    int more;

    /* The labels point into it. */
    ds_buf_reserve(&key->decoded, (size_t)(json->end - json->at));
    if (ds_json_open(json, '{') < 0)
        return -1;
    while ((more = ds_json_member(json, &n, &name)) > 0) {
        if (ds_json_string(json, &value) < 0 ||
            decode(key, json, name, &label.name, &label.name_len) < 0 ||
            decode(key, json, value, &label.value, &label.value_len) < 0)
            return -1;
        if (add_label(group, key, &label) < 0)
            return ds_json_fail(json, "there are two jobs");
    }
    if (more < 0)
        return -1;
    if (key->n_labels)
        qsort(key->labels, key->n_labels, sizeof *key->labels, compare_labels);
    for (size_t i = 1; i < key->n_labels; i++) {
        if (compare_labels(&key->labels[i - 1], &key->labels[i]) == 0)
            return ds_fail(json->err, DS_E_FORMAT, "it has two labels of one name");
    }
    return ds_buf_check(&key->decoded, "its set of labels", json->err);
}

static void add_to_key(struct ds_buf *out, const struct ds_label *label)
{
    ds_buf_addc(out, '/');
    ds_buf_add(out, label->name, label->name_len);
    ds_buf_addc(out, '/');
    ds_buf_add(out, label->value, label->value_len);
}

int ds_group_identify(struct ds_group *group, struct ds_json *json)
{
    DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(DS_IDENTITY_MAX);
    DS_AUTO(groupkey) struct ds_groupkey key = {0};

    ds_groupkey_init(&key);
    ds_groupkey_clear(&key);
    if (read_labels(group, json, &key) < 0)
        return -1;
    if (!key.job.value_len)
        group->flags |= DS_GROUP_ODD_NAME;
    ds_groupkey_identity(&key, &identity);
    if (ds_buf_check(&identity, "its set of labels", json->err) < 0)
        return -1;
    ds_buf_adds(&key.key, "/metrics");
    add_to_key(&key.key, &key.job);
    for (size_t i = 0; i < key.n_labels; i++)
        add_to_key(&key.key, &key.labels[i]);
    group->hash = ds_murmur3(key.key.data, key.key.len, 0);
    group->identity_len = identity.len;
    group->identity = ds_buf_steal(&identity);
    return 0;
}
