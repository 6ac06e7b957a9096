/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a group: its key, its canonical URL, its identity; and from an identity back to
   these.  See groupkey.h. */
#include "dshard/base64.h"
#include "dshard/url.h"
#include "dshard/utf8.h"
#include "groupkey_impl.h"

/* Stands between names and values of an identity; never a byte of UTF-8. */
enum { BETWEEN = 0xFF };

/* Appends "/NAME/VALUE", MARK behind the name, and a NUL: one look at the room for all.
 */
static void add_pair(struct ds_buf *out, const struct ds_label *label, const char *mark,
                     size_t mark_len, const char *value, size_t value_len)
{
    size_t len = label->name_len + mark_len + value_len + 2;
    char *at;

    if (out->over || len > out->max - out->len) {
        out->over = true;
        return;
    }
    ds_buf_reserve(out, len);
    at = out->data + out->len;
    *at++ = '/';
    memcpy(at, label->name, label->name_len);
    at += label->name_len;
    memcpy(at, mark, mark_len);
    at += mark_len;
    *at++ = '/';
    memcpy(at, value, value_len);
    at[value_len] = '\0';
    out->len += len;
}

/* True when a URL can say the value as it is. */
static bool is_plain(const char *value, size_t len)
{
    if (!len || value[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!ds_url_is_unreserved(value[i]))
            return false;
    }
    return true;
}

/* Checks a value that is not plain. */
static int check_value(struct ds_groupkey *group, const struct ds_label *label,
                       bool nul_is_fine, struct ds_error *err)
{
    if (!nul_is_fine && memchr(label->value, '\0', label->value_len))
        return ds_groupkey_refuse(group, err, "the value of", label->name,
                                  label->name_len, " has a NUL byte");
    if (!ds_utf8_is_valid(label->value, label->value_len))
        return ds_groupkey_refuse(group, err, "the value of", label->name,
                                  label->name_len, " is not UTF-8");
    return 0;
}

/* Appends a label to the key and to the URL.  The URL is the same as the key up to the
   first value that is not plain, and is copied from it in one go: until then it is empty.
 */
static int emit(struct ds_groupkey *group, const struct ds_label *label, bool nul_is_fine,
                struct ds_error *err)
{
    bool plain = is_plain(label->value, label->value_len);

    if (!plain && check_value(group, label, nul_is_fine, err) < 0)
        return -1;
    if (!plain && !group->url.len)
        ds_buf_add(&group->url, group->key.data, group->key.len);
    add_pair(&group->key, label, "", 0, label->value, label->value_len);
    if (plain && group->url.len)
        add_pair(&group->url, label, "", 0, label->value, label->value_len);
    if (plain)
        return 0;
    if (label->base64_len) {
        add_pair(&group->url, label, DS_GROUPKEY_BASE64, DS_GROUPKEY_BASE64_LEN,
                 label->base64, label->base64_len);
        return 0;
    }
    add_pair(&group->url, label, DS_GROUPKEY_BASE64, DS_GROUPKEY_BASE64_LEN, "", 0);
    ds_base64_encode_label(&group->url, label->value, label->value_len);
    return 0;
}

int ds_groupkey_emit(struct ds_groupkey *group, const char *query, size_t query_len,
                     bool nul_is_fine, struct ds_error *err)
{
    ds_buf_adds(&group->key, "/metrics");
    if (emit(group, &group->job, nul_is_fine, err) < 0)
        return -1;
    for (size_t i = 0; i < group->n_labels; i++) {
        if (emit(group, &group->labels[i], nul_is_fine, err) < 0)
            return -1;
    }
    if (!group->url.len)
        ds_buf_add(&group->url, group->key.data, group->key.len);
    ds_buf_add(&group->url, query, query_len);
    return 0;
}

static void add_identity(struct ds_buf *out, const struct ds_label *label)
{
    ds_buf_add(out, label->name, label->name_len);
    ds_buf_addc(out, (char)BETWEEN);
    ds_buf_add(out, label->value, label->value_len);
}

void ds_groupkey_identity(const struct ds_groupkey *group, struct ds_buf *out)
{
    bool job_done = false;

    for (size_t i = 0; i < group->n_labels; i++) {
        if (i)
            ds_buf_addc(out, (char)BETWEEN);
        if (!job_done && ds_label_is_less(&group->job, &group->labels[i])) {
            add_identity(out, &group->job);
            ds_buf_addc(out, (char)BETWEEN);
            job_done = true;
        }
        add_identity(out, &group->labels[i]);
    }
    if (!job_done) {
        if (group->n_labels)
            ds_buf_addc(out, (char)BETWEEN);
        add_identity(out, &group->job);
    }
}

bool ds_identity_next(const char **at, const char *end, struct ds_label *label)
{
    const char *value = memchr(*at, BETWEEN, (size_t)(end - *at));
    const char *next;

    if (!value)
        return false;
    next = memchr(value + 1, BETWEEN, (size_t)(end - value) - 1);
    *label = (struct ds_label){.name = *at,
                               .name_len = (size_t)(value - *at),
                               .value = value + 1,
                               .value_len = (size_t)((next ? next : end) - value) - 1};
    *at = next ? next + 1 : NULL;
    return true;
}

static bool ascends(const struct ds_label *before, const struct ds_label *label)
{
    bool shorter = before->name_len < label->name_len;
    int order =
        memcmp(before->name, label->name, shorter ? before->name_len : label->name_len);

    return order < 0 || (order == 0 && shorter);
}

static int take_label(struct ds_groupkey *group, const struct ds_label *label,
                      const struct ds_label *before, struct ds_error *err)
{
    if (!ds_label_name_is_good(label->name, label->name_len))
        return ds_groupkey_refuse(group, err, "no URL can say the label name",
                                  label->name, label->name_len, "");
    if (before->name && !ascends(before, label))
        return ds_groupkey_refuse(group, err,
                                  "a group's labels are not in order:", label->name,
                                  label->name_len, "");
    if (label->name_len == 3 && memcmp(label->name, "job", 3) == 0)
        group->job = *label;
    else
        *ds_groupkey_add_label(group) = *label;
    return 0;
}

int ds_groupkey_from_identity(struct ds_groupkey *group, const char *identity, size_t len,
                              struct ds_error *err)
{
    struct ds_label label, before = {0};
    const char *at, *end;

    ds_groupkey_clear(group);
    if (len > DS_IDENTITY_MAX)
        return ds_fail(err, DS_E_BAD_PATH,
                       "the labels of a group have more than %d bytes", DS_IDENTITY_MAX);
    ds_buf_add(&group->decoded, identity, len);
    at = group->decoded.data;
    end = at + len;
    while (at) {
        if (!ds_identity_next(&at, end, &label))
            return ds_groupkey_refuse(group, err, "no labels of a group:", identity, len,
                                      "");
        if (take_label(group, &label, &before, err) < 0)
            return -1;
        before = label;
    }
    if (!group->job.value_len)
        return ds_groupkey_refuse(group, err,
                                  "no job in the labels of a group:", identity, len, "");
    return ds_groupkey_emit(group, "", 0, true, err);
}
