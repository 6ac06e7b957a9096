/* SPDX-License-Identifier: Apache-2.0 */
/* see groupkey.h */
#include "dshard/groupkey.h"
#include "dshard/base64.h"
#include "dshard/url.h"
#include "groupkey_impl.h"

#include <stdlib.h>
#include <strings.h>

static const char JOB_ROUTE[] = "/metrics/job";

enum {
    BASE64_LEN = DS_GROUPKEY_BASE64_LEN,
    JOB_ROUTE_LEN = sizeof JOB_ROUTE - 1,
    FEW_LABELS = 16,
    REASON_BYTES_MAX = 200, /* of the target that a reason shows */
    /* What becomes of an identity at worst: each "x", 0xFF and no value, and the 0xFF
       before the next, are written "/x@base64/=". */
    URL_MAX = 4 * DS_IDENTITY_MAX + 64,
};

struct span {
    char *at;
    size_t len;
};

void ds_groupkey_init(struct ds_groupkey *group)
{
    memset(group, 0, sizeof *group);
    ds_buf_init(&group->key, DS_IDENTITY_MAX + 64);
    ds_buf_init(&group->url, URL_MAX);
    ds_buf_init(&group->decoded, DS_IDENTITY_MAX);
}

void ds_groupkey_release(struct ds_groupkey *group)
{
    free(group->labels);
    ds_buf_release(&group->key);
    ds_buf_release(&group->url);
    ds_buf_release(&group->decoded);
    ds_groupkey_init(group);
}

void ds_auto_groupkey(struct ds_groupkey *group)
{
    ds_groupkey_release(group);
}

void ds_groupkey_clear(struct ds_groupkey *group)
{
    group->job = (struct ds_label){.name = "job", .value = "", .name_len = 3};
    group->n_labels = 0;
    ds_buf_clear(&group->key);
    ds_buf_clear(&group->url);
    ds_buf_clear(&group->decoded);
}

/* "WHAT "BYTES"WHY", the bytes escaped and cut.  The text is put together in `url`, which
   a refused target does not need, so that refusing allocates nothing either. */
int ds_groupkey_refuse(struct ds_groupkey *group, struct ds_error *err, const char *what,
                       const char *bytes, size_t len, const char *why)
{
    size_t shown = len > REASON_BYTES_MAX ? REASON_BYTES_MAX : len;

    ds_buf_clear(&group->url);
    ds_buf_add_quoted(&group->url, bytes, shown);
    ds_fail(err, DS_E_BAD_PATH, "%s %s%s%s", what, group->url.data,
            shown < len ? "..." : "", why);
    ds_groupkey_clear(group);
    return -1;
}

static int not_found(struct ds_groupkey *group, struct ds_error *err)
{
    ds_groupkey_clear(group);
    return ds_fail(err, DS_E_NOT_FOUND,
                   "not a push path: /metrics/job/JOB{/LABEL/VALUE} is expected");
}

/* Eight copies of a byte. */
#define EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* A space, a control byte or DEL; eight bytes at once: taking 0x21 away borrows from the
   highest bit of a byte that is less, and of none before it. */
static bool has_raw_bytes(const char *target, size_t len)
{
    uint64_t found = 0, word, other;
    size_t i = 0;

    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, target + i, sizeof word);
        other = word ^ EIGHT(0x7F);
        found |= ((word - EIGHT(0x21)) & ~word) | ((other - EIGHT(1)) & ~other);
    }
    for (; i < len; i++)
        found |= (unsigned char)target[i] <= 0x20 || target[i] == 0x7F ? EIGHT(0x80) : 0;
    return (found & EIGHT(0x80)) != 0;
}

/* Moves *path behind "http://authority"; false when it does not begin so. */
static bool skip_authority(const char **path, const char *end)
{
    static const char *const schemes[] = {"http://", "https://"};

    if (*path < end && **path == '/')
        return false;
    for (size_t i = 0; i < DS_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i]);
        const char *slash;

        if ((size_t)(end - *path) < len || strncasecmp(*path, schemes[i], len) != 0)
            continue;
        slash = memchr(*path + len, '/', (size_t)(end - *path) - len);
        *path = slash ? slash : end;
        return true;
    }
    return false;
}

/* Fills `decoded` with the path of the target, and checks that it is clean. */
static int decode_path(struct ds_groupkey *group, const char *path, const char *end,
                       struct ds_error *err)
{
    size_t raw_len = (size_t)(end - path);
    ptrdiff_t len;

    if (path == end) /* an absolute URL may have no path at all */
        return not_found(group, err);
    /* Behind the path comes what its base64 means. */
    ds_buf_reserve(&group->decoded, raw_len + DS_BASE64_DECODED_MAX(raw_len));
    len = ds_url_decode(group->decoded.data, path, raw_len);
    if (len < 0)
        return ds_groupkey_refuse(group, err, "the path", path, raw_len,
                                  " has a '%' without two hexadecimal digits behind it");
    group->decoded.len = (size_t)len;
    group->decoded.data[len] = '\0';
    if (!ds_url_path_is_clean(group->decoded.data, (size_t)len))
        return ds_groupkey_refuse(
            group, err, "the path", path, raw_len,
            " has an empty, '.' or '..' component (an empty label value is"
            " written NAME@base64/=)");
    return 0;
}

/* Puts what the text means behind the path, and gives it to the label, and the text too
   if it is how we would spell it. */
static int decode_base64(struct ds_groupkey *group, struct ds_label *label,
                         struct span text, struct ds_error *err)
{
    struct ds_buf *decoded = &group->decoded;
    char *to = decoded->data + decoded->len;
    ptrdiff_t len = ds_base64_decode(to, text.at, text.len);

    if (len < 0)
        return ds_groupkey_refuse(group, err, "the value of", label->name,
                                  label->name_len,
                                  " is not base64 (RFC 4648, URL-safe alphabet)");
    decoded->len += (size_t)len;
    label->value = to;
    label->value_len = (size_t)len;
    label->base64 = text.at;
    label->base64_len = ds_base64_exact_len(text.at, text.len, (size_t)len);
    return 0;
}

bool ds_label_name_is_good(const char *name, size_t len)
{
    if (!len || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!ds_url_is_word(name[i]))
            return false;
    }
    return len < 2 || name[0] != '_' || name[1] != '_';
}

/* Cuts one "@base64" from the end; true when there was one. */
static bool cut_base64(struct span *name)
{
    if (name->len < BASE64_LEN ||
        memcmp(name->at + name->len - BASE64_LEN, DS_GROUPKEY_BASE64, BASE64_LEN) != 0)
        return false;
    name->len -= BASE64_LEN;
    return true;
}

struct ds_label *ds_groupkey_add_label(struct ds_groupkey *group)
{
    if (group->n_labels == group->cap_labels) {
        group->cap_labels = group->cap_labels ? 2 * group->cap_labels : 16;
        group->labels =
            ds_xreallocarray(group->labels, group->cap_labels, sizeof *group->labels);
    }
    return &group->labels[group->n_labels++];
}

static int add_label(struct ds_groupkey *group, struct span name, struct span value,
                     struct ds_error *err)
{
    bool encoded = cut_base64(&name);
    struct ds_label *label;

    if (!ds_label_name_is_good(name.at, name.len))
        return ds_groupkey_refuse(group, err, "improper label name", name.at, name.len,
                                  "");
    label = ds_groupkey_add_label(group);
    label->name = name.at;
    label->name_len = name.len;
    label->value = value.at;
    label->value_len = value.len;
    label->base64_len = 0;
    return encoded ? decode_base64(group, label, value, err) : 0;
}

/* Reads what stands behind the job: nothing, "/", or "/NAME/VALUE...". */
static int parse_labels(struct ds_groupkey *group, char *at, char *end,
                        struct ds_error *err)
{
    const char *all = at;
    size_t all_len = (size_t)(end - at);

    while (at < end && end - all > 1) {
        char *name = at + 1;
        char *slash = memchr(name, '/', (size_t)(end - name));
        char *value = slash ? slash + 1 : NULL;

        if (!slash)
            return ds_groupkey_refuse(group, err, "odd number of components in", all,
                                      all_len, ": each label has a name and a value");
        at = memchr(value, '/', (size_t)(end - value));
        at = at ? at : end;
        if (add_label(group, (struct span){name, (size_t)(slash - name)},
                      (struct span){value, (size_t)(at - value)}, err) < 0)
            return -1;
    }
    return 0;
}

bool ds_label_is_less(const struct ds_label *a, const struct ds_label *b)
{
    size_t common = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->name, b->name, common);

    if (order)
        return order < 0;
    if (a->name_len != b->name_len)
        return a->name_len < b->name_len;
    return a->name < b->name;
}

static void sift_down(struct ds_label *labels, size_t root, size_t n)
{
    struct ds_label moving = labels[root];

    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && ds_label_is_less(&labels[child], &labels[child + 1]))
            child++;
        if (!ds_label_is_less(&moving, &labels[child]))
            break;
        labels[root] = labels[child];
    }
    labels[root] = moving;
}

/* Few labels, which are in order more often than not. */
static void insert_each(struct ds_label *labels, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct ds_label label;
        size_t to = i;

        if (!ds_label_is_less(&labels[i], &labels[i - 1]))
            continue;
        label = labels[i];
        for (; to && ds_label_is_less(&label, &labels[to - 1]); to--)
            labels[to] = labels[to - 1];
        labels[to] = label;
    }
}

/* Heap sort: a target may hold two thousand labels, and qsort() would allocate. */
static void sort_labels(struct ds_label *labels, size_t n)
{
    if (n <= FEW_LABELS) {
        insert_each(labels, n);
        return;
    }
    for (size_t i = n / 2; i--;)
        sift_down(labels, i, n);
    for (size_t i = n; i-- > 1;) {
        struct ds_label largest = labels[0];

        labels[0] = labels[i];
        labels[i] = largest;
        sift_down(labels, 0, i);
    }
}

static bool is_same_name(const struct ds_label *a, const struct ds_label *b)
{
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

/* Of a name given twice the last value counts, and "job" as a label does not. */
static void keep_last(struct ds_groupkey *group)
{
    size_t kept = 0;

    for (size_t i = 0; i < group->n_labels; i++) {
        const struct ds_label *label = &group->labels[i];

        if (i + 1 < group->n_labels && is_same_name(label, label + 1))
            continue;
        if (!is_same_name(label, &group->job))
            group->labels[kept++] = *label;
    }
    group->n_labels = kept;
}

/* From the decoded path to the job and the sorted labels. */
static int parse_group(struct ds_groupkey *group, struct ds_error *err)
{
    char *at = group->decoded.data, *end = at + group->decoded.len, *slash;
    struct span job;
    bool encoded;

    if (group->decoded.len < JOB_ROUTE_LEN || memcmp(at, JOB_ROUTE, JOB_ROUTE_LEN) != 0)
        return not_found(group, err);
    at += JOB_ROUTE_LEN;
    encoded = (size_t)(end - at) > BASE64_LEN &&
              memcmp(at, DS_GROUPKEY_BASE64, BASE64_LEN) == 0;
    at += encoded ? BASE64_LEN : 0;
    if (end - at < 2 || *at != '/')
        return not_found(group, err);
    at++;
    slash = memchr(at, '/', (size_t)(end - at));
    job = (struct span){at, (size_t)((slash ? slash : end) - at)};
    group->job.value = job.at;
    group->job.value_len = job.len;
    if (encoded && decode_base64(group, &group->job, job, err) < 0)
        return -1;
    if (!group->job.value_len)
        return ds_groupkey_refuse(group, err, "the job is empty in", group->decoded.data,
                                  group->decoded.len, "");
    if (slash && parse_labels(group, slash, end, err) < 0)
        return -1;
    sort_labels(group->labels, group->n_labels);
    keep_last(group);
    return 0;
}

int ds_groupkey_parse(struct ds_groupkey *group, const char *target, size_t len,
                      struct ds_error *err)
{
    const char *path = target, *end, *query;

    ds_groupkey_clear(group);
    if (len > DS_TARGET_MAX)
        return ds_fail(err, DS_E_TOO_LONG, "the request target is longer than %d bytes",
                       DS_TARGET_MAX);
    if (has_raw_bytes(target, len))
        return ds_groupkey_refuse(group, err, "the path", target, len,
                                  " has a space or control byte that is not escaped");
    end = target + len;
    query = len ? memchr(target, '?', len) : NULL;
    query = query ? query : end;
    if (!skip_authority(&path, query) && (!len || target[0] != '/'))
        return ds_groupkey_refuse(group, err, "the path", target, len,
                                  " does not begin with '/'");
    if (decode_path(group, path, query, err) < 0 || parse_group(group, err) < 0)
        return -1;
    return ds_groupkey_emit(group, query, (size_t)(end - query), false, err);
}
