/* SPDX-License-Identifier: Apache-2.0 */
/* One group from its JSON text.  See group.h. */
#include "dshard/buf.h"
#include "dshard/date.h"
#include "dshard/num.h"
#include "dshard/utf8.h"
#include "group_impl.h"

#include <stdlib.h>

static const char PUSHED[] = "push_time_seconds";
static const char FAILED[] = "push_failure_time_seconds";

enum { FAMILIES_AT_FIRST = 8, NAME_SHOWN_MAX = 101, LABELS_SHOWN_MAX = 500 };

/* A member of the group that may be a family. */
struct member {
    struct ds_json_text key, whole;
    bool is_family;                    /* it has a list of metrics, which may be null */
    struct ds_json_text stamp;         /* "time_stamp" */
    struct ds_json_text labels, value; /* of its first series */
    size_t n_series;
};

/* What has been read of a group so far. */
struct reading {
    struct ds_json json;
    struct ds_group *group;
    size_t cap_families;
    struct ds_json_text labels, pushed_labels;
    bool pushed, failed, hidden; /* seen: the two push times; a family called labels */
};

/* ---- members -------------------------------------------------------------------------
 */

static struct ds_json_text since(const struct ds_json *json, const char *start)
{
    return (struct ds_json_text){start, (size_t)(json->at - start)};
}

static int read_series(struct ds_json *json, struct member *member)
{
    struct ds_json_text key;
    size_t n = 0;
    int more;

    if (ds_json_peek(json) != '{')
        return ds_json_skip(json);
    if (ds_json_open(json, '{') < 0)
        return -1;
    while ((more = ds_json_member(json, &n, &key)) > 0) {
        char c = ds_json_peek(json);
        const char *start = json->at;

        if (c == '"' && ds_json_is(key, "value")) {
            if (ds_json_string(json, &member->value) < 0)
                return -1;
        } else if (ds_json_skip(json) < 0) {
            return -1;
        } else if (c == '{' && ds_json_is(key, "labels")) {
            member->labels = since(json, start);
        }
    }
    return more;
}

/* Counts the series; of the two push times the first one is read. */
static int read_metrics(struct ds_json *json, struct member *member)
{
    bool is_time = ds_json_is(member->key, PUSHED) || ds_json_is(member->key, FAILED);
    size_t n = 0;
    int more;

    if (ds_json_peek(json) != '[')
        return ds_json_skip(json);
    if (ds_json_open(json, '[') < 0)
        return -1;
    while ((more = ds_json_item(json, &n)) > 0) {
        if (is_time && n == 1 ? read_series(json, member) < 0 : ds_json_skip(json) < 0)
            return -1;
    }
    member->n_series = n - 1;
    return more;
}

/* Reads the value of a member; what is no object is passed over. */
static int read_member(struct ds_json *json, struct member *member)
{
    struct ds_json_text key;
    const char *start;
    size_t n = 0;
    int more;

    if (ds_json_peek(json) != '{')
        return ds_json_skip(json);
    start = json->at;
    if (ds_json_open(json, '{') < 0)
        return -1;
    while ((more = ds_json_member(json, &n, &key)) > 0) {
        char c = ds_json_peek(json);
        int done;

        if (c == '"' && ds_json_is(key, "time_stamp")) {
            done = ds_json_string(json, &member->stamp);
        } else if ((c == '[' || c == 'n') && ds_json_is(key, "metrics")) {
            member->is_family = true;
            done = read_metrics(json, member);
        } else {
            done = ds_json_skip(json);
        }
        if (done < 0)
            return -1;
    }
    member->whole = since(json, start);
    return more;
}

/* ---- families ------------------------------------------------------------------------
 */

static int fail_member(const struct reading *reading, const struct member *member,
                       const char *what)
{
    char name[NAME_SHOWN_MAX];

    ds_utf8_clean(name, sizeof name, member->key.at, member->key.len);
    return ds_fail(reading->json.err, DS_E_FORMAT, "byte %zu: \"%s\" %s",
                   (size_t)(member->key.at - reading->json.begin) + 1, name, what);
}

static int read_stamp(const struct reading *reading, const struct member *member,
                      int64_t *us)
{
    struct ds_json_text stamp = member->stamp;

    *us = 0;
    if (!stamp.at || (stamp.len > 5 && memcmp(stamp.at, "0001-", 5) == 0))
        return 0; /* the year 1 is how Go says never */
    *us = ds_date_parse_rfc3339(stamp.at, stamp.len);
    return *us < 0 ? fail_member(reading, member, "has a bad time stamp") : 0;
}

/* Its value is what plans rest on, and only the server itself ever writes it. */
static int take_pushed(struct reading *reading, const struct member *member)
{
    struct ds_group *group = reading->group;

    if (reading->pushed)
        return fail_member(reading, member, "stands twice");
    reading->pushed = true;
    if (!member->value.at ||
        !ds_seconds_parse(member->value.at, member->value.len, &group->pushed_us))
        return fail_member(reading, member, "has no time for its value");
    if (group->pushed_us < 0) /* never is 0 and nothing else */
        group->pushed_us = 1;
    reading->pushed_labels = member->labels;
    return read_stamp(reading, member, &group->stamped_us);
}

/* A client can write this one as it likes: what is no time says nothing. */
static int take_failed(struct reading *reading, const struct member *member)
{
    struct ds_group *group = reading->group;

    if (reading->failed)
        return fail_member(reading, member, "stands twice");
    reading->failed = true;
    if (member->n_series > 1)
        group->flags |= DS_GROUP_GUARDED;
    if (!member->value.at ||
        !ds_seconds_parse(member->value.at, member->value.len, &group->failed_us) ||
        group->failed_us < 0)
        group->failed_us = 0;
    return read_stamp(reading, member, &group->created_us);
}

/* The name as a string of C, new: any client can push one with a NUL byte, and the list
   must be read all the same.  NULL: it is not UTF-8. */
static char *read_name(struct ds_json_text text)
{
    DS_AUTO(buf) struct ds_buf plain = DS_BUF_INIT(DS_GROUP_JSON_MAX);
    DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(2 * (size_t)DS_GROUP_JSON_MAX);

    if (ds_json_decode(text, &plain) < 0)
        return NULL;
    if (!memchr(plain.data, '\0', plain.len))
        return ds_buf_steal(&plain);
    for (size_t i = 0; i < plain.len; i++) {
        if (plain.data[i])
            ds_buf_addc(&name, plain.data[i]);
        else
            ds_buf_add(&name, "\xC0\x80", 2);
    }
    return ds_buf_steal(&name);
}

static int take_family(struct reading *reading, const struct member *member)
{
    struct ds_group *group = reading->group;
    struct ds_family family;

    if (read_stamp(reading, member, &family.pushed_us) < 0)
        return -1;
    family.name = read_name(member->key);
    if (!family.name)
        return fail_member(reading, member, "is not UTF-8");
    if (group->n_families == reading->cap_families) {
        reading->cap_families =
            reading->cap_families ? 2 * reading->cap_families : FAMILIES_AT_FIRST;
        group->families = ds_xreallocarray(group->families, reading->cap_families,
                                           sizeof *group->families);
    }
    group->families[group->n_families++] = family;
    group->n_series += member->n_series;
    return 0;
}

static int take_member(struct reading *reading, const struct member *member)
{
    bool is_labels = ds_json_is(member->key, "labels");

    if (is_labels && (reading->labels.at || reading->hidden))
        return fail_member(reading, member, "stands twice");
    if (is_labels && member->is_family)
        reading->hidden = true;
    else if (is_labels)
        reading->labels = member->whole;
    if (!member->is_family)
        return 0;
    if (ds_json_is(member->key, PUSHED))
        return take_pushed(reading, member);
    if (ds_json_is(member->key, FAILED))
        return take_failed(reading, member);
    return take_family(reading, member);
}

static int compare_families(const void *a, const void *b)
{
    return strcmp(((const struct ds_family *)a)->name,
                  ((const struct ds_family *)b)->name);
}

static int fail_twice(const char *family, struct ds_error *err)
{
    char name[NAME_SHOWN_MAX];

    ds_utf8_clean(name, sizeof name, family, strlen(family));
    return ds_fail(err, DS_E_FORMAT, "the family '%s' stands twice", name);
}

/* Of names that are not UTF-8 a server shows the bytes as U+FFFD, so that two may look
   the same; they count as one then, pushed when the last of them was. */
static int merge_families(struct ds_group *group, struct ds_error *err)
{
    struct ds_family *families = group->families;
    size_t kept = 0;

    for (size_t i = 1; i < group->n_families; i++) {
        if (compare_families(&families[kept], &families[i]) != 0) {
            struct ds_family moved = families[i];

            families[i].name = NULL;
            families[++kept] = moved;
            continue;
        }
        if (!strstr(families[i].name, "\xEF\xBF\xBD"))
            return fail_twice(families[i].name, err);
        if (families[kept].pushed_us < families[i].pushed_us)
            families[kept].pushed_us = families[i].pushed_us;
        free(families[i].name);
        families[i].name = NULL;
    }
    group->n_families = kept + 1;
    return 0;
}

/* Servers list them sorted. */
static int sort_families(struct ds_group *group, struct ds_error *err)
{
    struct ds_family *families = group->families;
    bool sorted = true;

    for (size_t i = 1; sorted && i < group->n_families; i++)
        sorted = compare_families(&families[i - 1], &families[i]) < 0;
    if (sorted)
        return 0;
    qsort(families, group->n_families, sizeof *families, compare_families);
    return merge_families(group, err);
}

static int read_group(struct reading *reading)
{
    struct ds_json_text key;
    size_t n = 0;
    int more;

    if (ds_json_open(&reading->json, '{') < 0)
        return -1;
    while ((more = ds_json_member(&reading->json, &n, &key)) > 0) {
        struct member member = {.key = key};

        if (read_member(&reading->json, &member) < 0 || take_member(reading, &member) < 0)
            return -1;
    }
    return more < 0 ? -1 : ds_json_finish(&reading->json);
}

static int parse(struct reading *reading)
{
    struct ds_json_text labels;
    struct ds_error *err = reading->json.err;
    struct ds_json json;

    if (read_group(reading) < 0)
        return -1;
    labels = reading->hidden ? reading->pushed_labels : reading->labels;
    if (!labels.at)
        return ds_fail(err, DS_E_FORMAT, "it has no labels");
    if (reading->hidden)
        reading->group->flags |= DS_GROUP_GUESSED;
    json = ds_json_start(labels.at, labels.len, err);
    json.begin = reading->json.begin;
    if (ds_group_identify(reading->group, &json) < 0)
        return -1;
    if (!reading->pushed)
        return ds_fail(err, DS_E_FORMAT, "it has no %s", PUSHED);
    return sort_families(reading->group, err);
}

int ds_group_parse(struct ds_group *group, const char *json, size_t len,
                   struct ds_error *err)
{
    struct reading reading = {.json = ds_json_start(json, len, err), .group = group};
    DS_AUTO(buf) struct ds_buf who = DS_BUF_INIT(LABELS_SHOWN_MAX);

    memset(group, 0, sizeof *group);
    if (parse(&reading) == 0)
        return 0;
    if (group->identity)
        ds_group_add_text(group, &who);
    ds_group_release(group);
    return ds_wrap(err, "%s%s%s", who.len ? "the group " : "a group", who.data,
                   who.over ? "..." : "");
}
