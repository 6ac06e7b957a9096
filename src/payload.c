/* SPDX-License-Identifier: Apache-2.0 */
/* see payload.h */
#include "payload_impl.h"

#include "dshard/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static const char PUSH_TIME[] = "push_time_seconds";
static const char FAILURE_TIME[] = "push_failure_time_seconds";
static const char REPLACED[] = "\xEF\xBF\xBD"; /* U+FFFD: what Go's JSON has for a byte
                                                  that is not UTF-8 */

/* Fields of MetricFamily that we write; all are length-delimited. */
enum { FAMILY_NAME = 1, FAMILY_HELP = 2, FAMILY_METRIC = 4 };

static struct ds_piece piece_of(const char *text)
{
    return (struct ds_piece){text, strlen(text)};
}

/* ---- protobuf ------------------------------------------------------------------ */

static int fail_moment(struct ds_error *err, const char *name)
{
    DS_AUTO(buf) struct ds_buf quoted = DS_BUF_INIT(DS_PAYLOAD_MAX);

    ds_buf_add_quoted(&quoted, name, strlen(name));
    if (strstr(name, REPLACED)) /* no other time would be a better one */
        return ds_fail(err, DS_E_FAILED,
                       "family %s cannot be copied: its name is not UTF-8", quoted.data);
    return ds_fail(err, DS_E_TEMP,
                   "the group changed between list and scrape (family %s)", quoted.data);
}

/* The series that keys name, in their order; new.  scraped NULL: the scrape does not have
   the family. */
static const struct ds_scrape_series **find_series(const struct ds_scrape_family *scraped,
                                                   const char *name,
                                                   const struct ds_payload_keys *keys,
                                                   struct ds_error *err)
{
    const struct ds_scrape_series **found =
        ds_xreallocarray(NULL, keys->n + 1, sizeof *found);
    bool twice = false;

    for (size_t i = 0; i < keys->n; i++) {
        found[i] = scraped ? ds_scrape_find(scraped, keys->items[i], &twice) : NULL;
        if (found[i] && !twice)
            continue;
        if (found[i])
            ds_ignore(ds_payload_fail_twice(err, name)); /* is -1 */
        else
            ds_ignore(fail_moment(err, name)); /* is -1 */
        free(found);
        return NULL;
    }
    return found;
}

static void ds_auto_found(const struct ds_scrape_series ***found)
{
    free(*found);
}

/* The help of the scrape may be another group's, that of the JSON may have lost bytes. */
static struct ds_piece help_of(const json_t *json, struct ds_piece scraped)
{
    struct ds_piece help = {json_string_value(json), json_string_length(json)};
    struct ds_piece a = help, b = scraped;

    while (a.len && b.len) {
        size_t len = ds_utf8_len(b.data, b.len);
        size_t step = len ? len : strlen(REPLACED);

        if (a.len < step || memcmp(a.data, len ? b.data : REPLACED, step) != 0)
            return help;
        a = (struct ds_piece){a.data + step, a.len - step};
        b = (struct ds_piece){b.data + (len ? len : 1), b.len - (len ? len : 1)};
    }
    return a.len || b.len ? help : scraped;
}

static void add_bytes(struct ds_buf *out, unsigned number, struct ds_piece bytes)
{
    ds_buf_addc(out, (char)(number << 3 | DS_WIRE_LEN));
    ds_varint_add(out, bytes.len);
    ds_buf_add(out, bytes.data, bytes.len);
}

static int add_raw(struct ds_buf *out, const struct ds_scrape *scrape,
                   const struct ds_payload_family *family,
                   const struct ds_payload_keys *keys, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf message = DS_BUF_INIT(DS_PAYLOAD_MAX);
    DS_AUTO(found) const struct ds_scrape_series **found = NULL;
    const json_t *help = json_object_get(family->json, "help");
    const struct ds_scrape_family *scraped =
        ds_scrape_family(scrape, piece_of(family->name));

    found = find_series(scraped, family->name, keys, err);
    if (!found)
        return -1;
    assert(scraped); /* an empty family does not come here */
    add_bytes(&message, FAMILY_NAME, piece_of(family->name));
    if (json_is_string(help))
        add_bytes(&message, FAMILY_HELP, help_of(help, scraped->help));
    ds_buf_add(&message, scraped->rest.data, scraped->rest.len);
    for (size_t i = 0; i < keys->n; i++)
        add_bytes(&message, FAMILY_METRIC, found[i]->metric);
    if (ds_buf_check(&message, "a family", err) < 0)
        return -1;
    ds_varint_add(out, message.len);
    ds_buf_add(out, message.data, message.len);
    return 0;
}

static bool is_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* The family is written by the Pushgateway at each push: its values must be those of the
   scrape. */
static int check_times(const struct ds_scrape *scrape, const char *name, json_t *json,
                       struct ds_error *err)
{
    DS_AUTO(keys) struct ds_payload_keys keys = {.text = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    DS_AUTO(found) const struct ds_scrape_series **found = NULL;
    struct ds_payload_family family;

    if (ds_payload_read_family(&family, name, json, err) <= 0 ||
        !json_array_size(family.metrics))
        return ds_fail(err, DS_E_FORMAT, "a group has no %s", name);
    if (ds_payload_read_keys(&keys, &family, err) < 0)
        return -1;
    found = find_series(ds_scrape_family(scrape, piece_of(name)), name, &keys, err);
    if (!found)
        return -1;
    for (size_t i = 0; i < keys.n; i++) {
        const char *text =
            ds_payload_str(json_object_get(json_array_get(family.metrics, i), "value"));
        double listed, scraped;

        /* A client can have written push_failure_time_seconds, as what it likes. */
        if (!ds_scrape_value(found[i], &scraped))
            continue;
        if (!text || !ds_payload_number(text, &listed) || !is_same(listed, scraped))
            return fail_moment(err, name);
    }
    return 0;
}

static int check_moment(const struct ds_scrape *scrape, json_t *group,
                        struct ds_error *err)
{
    json_t *failure = json_object_get(group, FAILURE_TIME);

    if (check_times(scrape, PUSH_TIME, json_object_get(group, PUSH_TIME), err) < 0)
        return -1;
    return failure ? check_times(scrape, FAILURE_TIME, failure, err) : 0;
}

/* ---- what the header promises -------------------------------------------------- */

static int compare_names(const void *wanted, const void *item)
{
    return strcmp(wanted, *(const char *const *)item);
}

static bool is_wanted(const char *name, const char *const *only, size_t n_only)
{
    if (strcmp(name, PUSH_TIME) == 0 || strcmp(name, FAILURE_TIME) == 0)
        return false;
    return !only || (n_only && bsearch(name, only, n_only, sizeof *only, compare_names));
}

static int add_family(struct ds_buf *out, const struct ds_scrape *scrape,
                      const json_t *group, const struct ds_payload_family *family,
                      struct ds_error *err)
{
    DS_AUTO(keys) struct ds_payload_keys keys = {.text = DS_BUF_INIT(DS_PAYLOAD_MAX)};

    if (!json_array_size(family->metrics))
        return 0;
    if (ds_payload_read_keys(&keys, family, err) < 0)
        return -1;
    return scrape ? add_raw(out, scrape, family, &keys, err)
                  : ds_payload_add_text(out, group, family, err);
}

static int add_families(struct ds_buf *out, const struct ds_scrape *scrape, json_t *group,
                        const char *const *only, size_t n_only, struct ds_error *err)
{
    struct ds_payload_family family;
    const char *name;
    json_t *json;

    json_object_foreach(group, name, json)
    {
        int is_family = ds_payload_read_family(&family, name, json, err);

        if (is_family < 0)
            return -1;
        if (!is_family || !is_wanted(name, only, n_only))
            continue;
        if (add_family(out, scrape, group, &family, err) < 0)
            return -1;
    }
    return ds_buf_check(out, "a group", err);
}

int ds_payload_make(struct ds_payload *payload, const struct ds_scrape *scrape,
                    const char *json, size_t len, const char *const *only, size_t n_only,
                    struct ds_error *err)
{
    json_auto_t *group = ds_payload_load(json, len, err);
    size_t start = payload->body.len;

    if (!group)
        return -1;
    if (!json_object_get(group, PUSH_TIME))
        return ds_fail(err, DS_E_FORMAT, "a group has no %s", PUSH_TIME);
    payload->content_type = scrape ? DS_PAYLOAD_PROTOBUF : DS_PAYLOAD_TEXT;
    if ((scrape && check_moment(scrape, group, err) < 0) ||
        add_families(&payload->body, scrape, group, only, n_only, err) < 0) {
        ds_buf_truncate(&payload->body, start);
        return -1;
    }
    return 0;
}

static bool is_all_zero(const json_t *metrics)
{
    const json_t *metric;
    size_t i;

    json_array_foreach(metrics, i, metric)
    {
        const char *text = ds_payload_str(json_object_get(metric, "value"));

        if (!text || strcmp(text, "0") != 0)
            return false;
    }
    return true;
}

bool ds_payload_failure_time(struct ds_payload *payload, const char *json, size_t len)
{
    struct ds_error ignored = DS_ERROR_INIT; /* then there is nothing to restore */
    json_auto_t *group = ds_payload_load(json, len, &ignored);
    struct ds_payload_family family;
    size_t start = payload->body.len;

    if (!group ||
        ds_payload_read_family(&family, FAILURE_TIME,
                               json_object_get(group, FAILURE_TIME), &ignored) <= 0 ||
        is_all_zero(family.metrics))
        return false;
    payload->content_type = DS_PAYLOAD_TEXT;
    if (add_family(&payload->body, NULL, group, &family, &ignored) == 0 &&
        !payload->body.over)
        return true;
    ds_buf_truncate(&payload->body, start);
    return false;
}
