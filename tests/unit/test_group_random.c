/* SPDX-License-Identifier: Apache-2.0 */
/* Random lists, written here and fed in random pieces, give what was put in. */
#include "test.h"

#include "dshard/groupkey.h"
#include "dshard/inventory.h"
#include "random.h"

enum { GROUPS_MAX = 8, NAMES_MAX = 6, TEXT_MAX = 1000000 };

/* What was put in. */
struct wanted {
    struct ds_buf identity;
    struct ds_family families[NAMES_MAX];
    size_t n_families, n_series;
    int64_t pushed_us, failed_us, stamped_us, created_us;
};

struct source {
    struct random *r;
    struct ds_buf text;
    struct wanted groups[GROUPS_MAX];
    size_t n, n_seen;
};

static size_t below(struct source *s, size_t n)
{
    return random_below(s->r, n);
}

static void space(struct source *s)
{
    if (!below(s, 6))
        ds_buf_addc(&s->text, " \n\t\r"[below(s, 4)]);
}

static void put(struct source *s, const char *text)
{
    space(s);
    ds_buf_adds(&s->text, text);
    space(s);
}

/* A string in any of its spellings; what it means is appended to *plain. */
static void put_string(struct source *s, struct ds_buf *plain)
{
    static const struct {
        const char *json, *plain;
        size_t len;
    } pieces[] = {
        {"a", "a", 1},
        {"1", "1", 1},
        {"\\\"", "\"", 1},
        {"\\\\", "\\", 1},
        {"\\/", "/", 1},
        {"/", "/", 1},
        {"\\n", "\n", 1},
        {"\\u0000", "\0", 1},
        {"\\u003C", "<", 1},
        {"{", "{", 1},
        {"]", "]", 1},
        {",", ",", 1},
        {"\\u00e4", "\xC3\xA4", 2},
        {"\xC3\xA4", "\xC3\xA4", 2},
        {"\\u20AC", "\xE2\x82\xAC", 3},
        {"\\uD83D\\ude00", "\xF0\x9F\x98\x80", 4},
    };

    ds_buf_addc(&s->text, '"');
    for (size_t n = below(s, 6); n; n--) {
        size_t i = below(s, DS_COUNT(pieces));

        ds_buf_adds(&s->text, pieces[i].json);
        if (plain)
            ds_buf_add(plain, pieces[i].plain, pieces[i].len);
    }
    ds_buf_addc(&s->text, '"');
}

/* Any value, which nobody is to look at. */
static void put_anything(struct source *s, int depth)
{
    static const char *const scalars[] = {"null", "true",  "false",    "0",
                                          "-1",   "2.5e3", "-0.1E-10", "1e+2"};
    size_t kind = below(s, depth ? 4 : 2);

    if (kind == 0) {
        put(s, scalars[below(s, DS_COUNT(scalars))]);
        return;
    }
    if (kind == 1) {
        put_string(s, NULL);
        return;
    }
    put(s, kind == 2 ? "[" : "{");
    for (size_t n = below(s, 4), i = 0; i < n; i++) {
        put(s, i ? "," : "");
        if (kind == 3) {
            put_string(s, NULL);
            put(s, ":");
        }
        put_anything(s, depth - 1);
    }
    put(s, kind == 2 ? "]" : "}");
}

static int64_t put_stamp(struct source *s)
{
    int64_t second = (int64_t)below(s, 60), us = (int64_t)below(s, 1000000);

    ds_buf_addf(&s->text, "\"time_stamp\":\"2026-11-22T18:30:%02d.%06d%03dZ\"",
                (int)second, (int)us, (int)below(s, 1000));
    return (INT64_C(1795372200) + second) * 1000000 + us;
}

static void put_family(struct source *s, struct wanted *group, size_t name)
{
    struct ds_family *family = &group->families[group->n_families++];
    size_t n = below(s, 4);

    family->name = ds_xasprintf("family%zu", name);
    put(s, ",");
    ds_buf_addf(&s->text, "\"%s\":{\"help\":", family->name);
    put_string(s, NULL);
    put(s, ",");
    family->pushed_us = put_stamp(s);
    put(s, ",\"metrics\":[");
    for (size_t i = 0; i < n; i++) {
        put(s, i ? "," : "");
        put_anything(s, 4);
    }
    put(s, "]}");
    group->n_series += n;
}

static int64_t put_time(struct source *s, const char *name, bool is_never,
                        int64_t *stamped_us)
{
    int64_t us = is_never ? 0 : INT64_C(1795372200000000) + (int64_t)below(s, 100000000);

    ds_buf_addf(&s->text, ",\"%s\":{", name);
    *stamped_us = put_stamp(s);
    ds_buf_addf(&s->text, ",\"metrics\":[{\"labels\":{\"l\":");
    put_anything(s, 2);
    ds_buf_addf(&s->text, "},\"value\":\"%" PRId64 ".%06d\"}]}", us / 1000000,
                (int)(us % 1000000));
    return us;
}

static void put_label(struct source *s, struct wanted *group, size_t i)
{
    static const char *const names[] = {"A", "_x", "instance", "job", "jobs"};
    struct ds_buf *identity = &group->identity;

    ds_buf_addf(identity, "%s%s\xFF", i ? "\xFF" : "", names[i]);
    put(s, i ? "," : "");
    ds_buf_addf(&s->text, "\"%s\":", names[i]);
    if (i != 3) {
        put_string(s, identity);
        return;
    }
    /* Two groups never have one job, so all of them stay apart. */
    ds_buf_addf(&s->text, "\"j%zu\"", s->n);
    ds_buf_addf(identity, "j%zu", s->n);
}

static void put_group(struct source *s)
{
    struct wanted *group = &s->groups[s->n];

    ds_buf_init(&group->identity, TEXT_MAX);
    put(s, "{\"labels\":{");
    for (size_t i = 0; i < 5; i++)
        put_label(s, group, i);
    put(s, "},\"x\":");
    put_anything(s, 3);
    for (size_t i = 0; i < NAMES_MAX; i++) {
        if (below(s, 2))
            put_family(s, group, i);
    }
    group->failed_us =
        put_time(s, "push_failure_time_seconds", below(s, 2), &group->created_us);
    group->pushed_us = put_time(s, "push_time_seconds", !below(s, 4), &group->stamped_us);
    put(s, "}");
    s->n++;
}

static void put_list(struct source *s)
{
    bool first = below(s, 2);
    size_t n = below(s, GROUPS_MAX + 1);

    put(s, first ? "{\"status\":\"success\",\"odd\":" : "{\"odd\":");
    put_anything(s, 5);
    put(s, ",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        put(s, i ? "," : "");
        put_group(s);
    }
    put(s, "]");
    put(s, first ? "}" : ",\"status\":\"success\"}");
}

static int expect_next(void *arg, const char *json, size_t len, struct ds_error *err)
{
    struct source *s = arg;
    const struct wanted *want = &s->groups[s->n_seen++];
    struct ds_group group;

    assert_true(s->n_seen <= s->n);
    assert_ok(ds_group_parse(&group, json, len, err), err);
    assert_int_equal(group.identity_len, want->identity.len);
    assert_memory_equal(group.identity, want->identity.data, want->identity.len);
    assert_int_equal(group.pushed_us, want->pushed_us);
    assert_int_equal(group.stamped_us, want->stamped_us);
    assert_int_equal(group.failed_us, want->failed_us);
    assert_int_equal(group.created_us, want->created_us);
    assert_int_equal(group.n_series, want->n_series);
    assert_int_equal(group.n_families, want->n_families);
    for (size_t i = 0; i < group.n_families; i++) {
        assert_string_equal(group.families[i].name, want->families[i].name);
        assert_int_equal(group.families[i].pushed_us, want->families[i].pushed_us);
    }
    ds_group_release(&group);
    return 0;
}

static void release(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        ds_buf_release(&s->groups[i].identity);
        for (size_t f = 0; f < s->groups[i].n_families; f++)
            free(s->groups[i].families[f].name);
    }
    ds_buf_release(&s->text);
}

static void any_list_in_any_pieces_gives_what_was_put_in(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 1000; round++) {
        struct source s = {.r = &r};
        struct ds_group_splitter *splitter = ds_group_splitter_new(expect_next, &s);
        struct ds_error err = DS_ERROR_INIT;
        size_t most;

        ds_buf_init(&s.text, TEXT_MAX);
        put_list(&s);
        most = 1 + random_below(&r, round % 2 ? 5 : s.text.len);
        for (size_t at = 0, n; at < s.text.len; at += n) {
            n = random_below(&r, most + 1);
            n = n < s.text.len - at ? n : s.text.len - at;
            assert_ok(ds_group_splitter_feed(splitter, s.text.data + at, n, &err), &err);
        }
        assert_ok(ds_group_splitter_end(splitter, &err), &err);
        assert_int_equal(s.n_seen, s.n);
        ds_group_splitter_free(splitter);
        release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_list_in_any_pieces_gives_what_was_put_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
