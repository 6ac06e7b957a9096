/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/groupkey.h"

#include <stdio.h>

enum { IDENTITY_MAX = 100000 };

static enum ds_code parse(struct ds_groupkey *group, const char *target,
                          struct ds_error *err)
{
    return ds_groupkey_parse(group, target, strlen(target), err) < 0 ? err->code : DS_OK;
}

static void targets_give_key_and_url(void **state)
{
    static const struct {
        const char *target, *key, *url;
    } rows[] = {
        {"/metrics/job/a", "/metrics/job/a", "/metrics/job/a"},
        {"/metrics/job/a/", "/metrics/job/a", "/metrics/job/a"},
        {"/metrics/job/a/y/2/x/1", "/metrics/job/a/x/1/y/2", "/metrics/job/a/x/1/y/2"},
        {"/metrics/job@base64/YQ==/x@base64/MQ", "/metrics/job/a/x/1",
         "/metrics/job/a/x/1"},
        {"/metrics/job%2Fa%2fx/%31", "/metrics/job/a/x/1", "/metrics/job/a/x/1"},
        {"/metrics/job/a/x/1/x/2", "/metrics/job/a/x/2", "/metrics/job/a/x/2"},
        {"/metrics/job/a/job/b", "/metrics/job/a", "/metrics/job/a"},
        {"/metrics/job/a/x/", "/metrics/job/a/x/", "/metrics/job/a/x@base64/="},
        {"/metrics/job/a/x@base64/=/y/2", "/metrics/job/a/x//y/2",
         "/metrics/job/a/x@base64/=/y/2"},
        {"/metrics/job/a/x@base64/Yi95L2M", "/metrics/job/a/x/b/y/c",
         "/metrics/job/a/x@base64/Yi95L2M"},
        {"/metrics/job/a/x@base64/Lh==", "/metrics/job/a/x/.",
         "/metrics/job/a/x@base64/Lg"},
        {"/metrics/job/a/x@base64/Yi9%0A5L2M=", "/metrics/job/a/x/b/y/c",
         "/metrics/job/a/x@base64/Yi95L2M"},
        {"/metrics/job/a%20b", "/metrics/job/a b", "/metrics/job@base64/YSBi"},
        {"/metrics/job/a+b", "/metrics/job/a+b", "/metrics/job@base64/YSti"},
        {"/metrics/job/a/x@base64/Lg", "/metrics/job/a/x/.",
         "/metrics/job/a/x@base64/Lg"},
        {"/metrics/job/...", "/metrics/job/...", "/metrics/job@base64/Li4u"},
        {"/metrics/job/a.b~c", "/metrics/job/a.b~c", "/metrics/job/a.b~c"},
        {"/metrics/job/~a", "/metrics/job/~a", "/metrics/job/~a"},
        {"/metrics/job/%C3%A4", "/metrics/job/\xC3\xA4", "/metrics/job@base64/w6Q"},
        {"/metrics/job/\xC3\xA4", "/metrics/job/\xC3\xA4", "/metrics/job@base64/w6Q"},
        {"/metrics/job/a?", "/metrics/job/a", "/metrics/job/a?"},
        {"/metrics/job/a?x=%zz//../&y=/?", "/metrics/job/a",
         "/metrics/job/a?x=%zz//../&y=/?"},
        {"/metrics/job/a%3Fb", "/metrics/job/a?b", "/metrics/job@base64/YT9i"},
        {"http://h:1/metrics/job/a?q", "/metrics/job/a", "/metrics/job/a?q"},
        {"HTTPS://u:p@[::1]/metrics/job/a", "/metrics/job/a", "/metrics/job/a"},
        {"/metrics/job/a/X/1/_/2/x/3/B/4", "/metrics/job/a/B/4/X/1/_/2/x/3",
         "/metrics/job/a/B/4/X/1/_/2/x/3"},
        {"/metrics/job/a/xx/1/x/2/x_/3", "/metrics/job/a/x/2/x_/3/xx/1",
         "/metrics/job/a/x/2/x_/3/xx/1"},
    };
    DS_AUTO(groupkey) struct ds_groupkey group = {0};

    (void)state;
    ds_groupkey_init(&group);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;

        if (parse(&group, rows[i].target, &err) != DS_OK)
            fail_msg("%s: %s", rows[i].target, err.text);
        assert_string_equal(group.key.data, rows[i].key);
        assert_string_equal(group.url.data, rows[i].url);
    }
}

static void refusals_have_one_line_of_reason(void **state)
{
    static const struct {
        const char *target;
        enum ds_code code;
        const char *reason;
    } rows[] = {
        {"", DS_E_BAD_PATH, "the path \"\" does not begin with '/'"},
        {"?/metrics/job/a", DS_E_BAD_PATH,
         "the path \"?/metrics/job/a\" does not begin with '/'"},
        {"metrics/job/a", DS_E_BAD_PATH,
         "the path \"metrics/job/a\" does not begin with '/'"},
        {"/metrics/job/a b", DS_E_BAD_PATH,
         "the path \"/metrics/job/a b\" has a space or control byte that is not escaped"},
        {"/metrics/job/a?b\r\nX: y", DS_E_BAD_PATH,
         "the path \"/metrics/job/a?b\\r\\nX: y\" has a space or control byte that is not"
         " escaped"},
        {"/metrics/job/a\x7F", DS_E_BAD_PATH,
         "the path \"/metrics/job/a\\x7f\" has a space or control byte that is not"
         " escaped"},
        {"/metrics/job/%zz", DS_E_BAD_PATH,
         "the path \"/metrics/job/%zz\" has a '%' without two hexadecimal digits behind"
         " it"},
        {"/metrics/job/a/x//y/2", DS_E_BAD_PATH,
         "the path \"/metrics/job/a/x//y/2\" has an empty, '.' or '..' component (an"
         " empty label value is written NAME@base64/=)"},
        {"/metrics/job/a/x", DS_E_BAD_PATH,
         "odd number of components in \"/x\": each label has a name and a value"},
        {"/metrics/job/a/x/1/", DS_E_BAD_PATH,
         "odd number of components in \"/x/1/\": each label has a name and a value"},
        {"/metrics/job/a/1x/v", DS_E_BAD_PATH, "improper label name \"1x\""},
        {"/metrics/job/a/x%0A/v", DS_E_BAD_PATH, "improper label name \"x\\n\""},
        {"/metrics/job/a/@base64/v", DS_E_BAD_PATH, "improper label name \"\""},
        {"/metrics/job/a/__x/v", DS_E_BAD_PATH, "improper label name \"__x\""},
        {"/metrics/job@base64/=", DS_E_BAD_PATH,
         "the job is empty in \"/metrics/job@base64/=\""},
        {"/metrics/job@base64/!!", DS_E_BAD_PATH,
         "the value of \"job\" is not base64 (RFC 4648, URL-safe alphabet)"},
        {"/metrics/job/a/x@base64/Pj4%2B", DS_E_BAD_PATH,
         "the value of \"x\" is not base64 (RFC 4648, URL-safe alphabet)"},
        {"/metrics/job/%FF", DS_E_BAD_PATH, "the value of \"job\" is not UTF-8"},
        {"/metrics/job/a/x@base64/_w", DS_E_BAD_PATH, "the value of \"x\" is not UTF-8"},
        {"/metrics/job/a/x@base64/AA", DS_E_BAD_PATH,
         "the value of \"x\" has a NUL byte"},
        {"/metrics/job/a%00", DS_E_BAD_PATH, "the value of \"job\" has a NUL byte"},
        {"/", DS_E_NOT_FOUND,
         "not a push path: /metrics/job/JOB{/LABEL/VALUE} is expected"},
        {"http://h", DS_E_NOT_FOUND, NULL},
        {"http://h?/metrics/job/a", DS_E_NOT_FOUND, NULL},
        {"ftp://h/metrics/job/a", DS_E_BAD_PATH, NULL},
        {"/metrics", DS_E_NOT_FOUND, NULL},
        {"/metrics/job", DS_E_NOT_FOUND, NULL},
        {"/metrics/job/", DS_E_NOT_FOUND, NULL},
        {"/metrics/job?/a", DS_E_NOT_FOUND, NULL},
        {"/metrics/jobs/a", DS_E_NOT_FOUND, NULL},
        {"/metrics/job@base64", DS_E_NOT_FOUND, NULL},
        {"/metrics/job@base64/", DS_E_NOT_FOUND, NULL},
        {"/metrics/job@base64x/a", DS_E_NOT_FOUND, NULL},
        {"/metrics/job@BASE64/YQ", DS_E_NOT_FOUND, NULL},
        {"/Metrics/job/a", DS_E_NOT_FOUND, NULL},
        {"/x/metrics/job/a", DS_E_NOT_FOUND, NULL},
        {"//metrics/job/a", DS_E_BAD_PATH, NULL},
        {"/metrics/job/a/x/%2E%2E", DS_E_BAD_PATH, NULL},
        {"/metrics/job/a/x/%2F/", DS_E_BAD_PATH, NULL},
    };
    DS_AUTO(groupkey) struct ds_groupkey group = {0};

    (void)state;
    ds_groupkey_init(&group);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;

        if (parse(&group, rows[i].target, &err) != rows[i].code)
            fail_msg("%s: code %d, %s", rows[i].target, (int)err.code, err.text);
        if (rows[i].reason)
            assert_string_equal(err.text, rows[i].reason);
        assert_null(strchr(err.text, '\n'));
        assert_int_equal(group.key.len + group.url.len + group.n_labels, 0);
    }
}

static void a_long_reason_is_cut(void **state)
{
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    struct ds_error err = DS_ERROR_INIT;
    char target[DS_TARGET_MAX];

    (void)state;
    ds_groupkey_init(&group);
    memset(target, '\x01', sizeof target);
    assert_int_equal(ds_groupkey_parse(&group, target, sizeof target, &err), -1);
    assert_int_equal(err.code, DS_E_BAD_PATH);
    assert_true(strlen(err.text) < 1000);
    assert_non_null(strstr(err.text, "\\x01\"... has a space"));
}

static void a_target_has_at_most_8192_bytes(void **state)
{
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    struct ds_error err = DS_ERROR_INIT;
    char target[DS_TARGET_MAX + 2];
    int n;

    (void)state;
    ds_groupkey_init(&group);
    memset(target, '!', sizeof target);
    n = snprintf(target, sizeof target, "/metrics/job/");
    target[n] = '!';
    assert_ok(ds_groupkey_parse(&group, target, DS_TARGET_MAX, &err), &err);
    assert_false(group.url.over || group.key.over);
    assert_int_equal(group.key.len, DS_TARGET_MAX);
    assert_int_equal(ds_groupkey_parse(&group, target, DS_TARGET_MAX + 1, &err), -1);
    assert_int_equal(err.code, DS_E_TOO_LONG);
    assert_int_equal(ds_groupkey_parse(&group, target, SIZE_MAX, &err), -1);
    assert_int_equal(err.code, DS_E_TOO_LONG);
}

/* As many labels as fit, each of them written longer in the canonical URL. */
static void the_worst_target_fits(void **state)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    DS_AUTO(buf) struct ds_buf target = DS_BUF_INIT(DS_TARGET_MAX);
    DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(IDENTITY_MAX);
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    struct ds_error err = DS_ERROR_INIT;
    size_t n = 0;

    (void)state;
    ds_groupkey_init(&group);
    ds_buf_adds(&target, "/metrics/job/+");
    for (; target.len + 5 <= DS_TARGET_MAX; n++)
        ds_buf_addf(&target, "/%c%c/+", chars[n % 52], chars[n / 52 % 53]);
    assert_ok(ds_groupkey_parse(&group, target.data, target.len, &err), &err);
    assert_int_equal(group.n_labels, n);
    assert_false(group.url.over || group.key.over);
    ds_buf_clear(&target);
    ds_buf_adds(&target, "/metrics/job/+");
    while (target.len + 4 <= DS_TARGET_MAX)
        ds_buf_adds(&target, "/x/+");
    assert_ok(ds_groupkey_parse(&group, target.data, target.len, &err), &err);
    assert_string_equal(group.url.data, "/metrics/job@base64/Kw/x@base64/Kw");
    ds_groupkey_identity(&group, &identity);
    assert_string_equal(identity.data, "job\xFF+\xFFx\xFF+");
}

static void the_identity_has_job_in_its_place(void **state)
{
    static const struct {
        const char *target, *identity;
    } rows[] = {
        {"/metrics/job/a", "job\xFF"
                           "a"},
        {"/metrics/job/a/x/1", "job\xFF"
                               "a\xFFx\xFF"
                               "1"},
        {"/metrics/job/a/instance/i", "instance\xFFi\xFFjob\xFF"
                                      "a"},
        {"/metrics/job/a/x/1/b/2", "b\xFF"
                                   "2\xFFjob\xFF"
                                   "a\xFFx\xFF"
                                   "1"},
        {"/metrics/job/a/jo/1/joba/2/A/3", "A\xFF"
                                           "3\xFFjo\xFF"
                                           "1\xFFjob\xFF"
                                           "a\xFFjoba\xFF"
                                           "2"},
        {"/metrics/job/a/x/", "job\xFF"
                              "a\xFFx\xFF"},
    };
    DS_AUTO(groupkey) struct ds_groupkey group = {0};

    (void)state;
    ds_groupkey_init(&group);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(1000);
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(parse(&group, rows[i].target, &err), DS_OK);
        ds_groupkey_identity(&group, &identity);
        assert_string_equal(identity.data, rows[i].identity);
    }
}

static void one_key_may_mean_two_groups_but_one_identity_never_does(void **state)
{
    DS_AUTO(buf) struct ds_buf one = DS_BUF_INIT(100), two = DS_BUF_INIT(100);
    DS_AUTO(groupkey) struct ds_groupkey a = {0}, b = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    ds_groupkey_init(&a);
    ds_groupkey_init(&b);
    assert_int_equal(parse(&a, "/metrics/job/j/x@base64/Yi95L2M", &err), DS_OK);
    assert_int_equal(parse(&b, "/metrics/job/j/x/b/y/c", &err), DS_OK);
    ds_groupkey_identity(&a, &one);
    ds_groupkey_identity(&b, &two);
    assert_string_equal(a.key.data, b.key.data);
    assert_string_not_equal(one.data, two.data);
}

static void a_warm_parser_keeps_its_memory(void **state)
{
    static const char *const targets[] = {
        "/metrics/job/a/x/1/y/2/z@base64/Kw",
        "/metrics/job@base64/!!",
        "/metrics/job/a/x//y/2",
        "/metrics",
        "/metrics/job/a/x/1/y/2/z/%FF",
        "/metrics/job/a?q=1",
    };
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    const void *labels, *key, *url, *decoded;

    (void)state;
    ds_groupkey_init(&group);
    for (int round = 0; round < 3; round++) {
        if (round == 1) {
            labels = group.labels;
            key = group.key.data;
            url = group.url.data;
            decoded = group.decoded.data;
        }
        for (size_t i = 0; i < DS_COUNT(targets); i++) {
            struct ds_error err = DS_ERROR_INIT;

            (void)parse(&group, targets[i], &err);
        }
    }
    assert_ptr_equal(group.labels, labels);
    assert_ptr_equal(group.key.data, key);
    assert_ptr_equal(group.url.data, url);
    assert_ptr_equal(group.decoded.data, decoded);
    ds_groupkey_release(&group);
    ds_groupkey_release(&group);
}

static void a_raw_byte_is_found_wherever_it_stands(void **state)
{
    static const char path[] = "/metrics/job/a!~bcdef/x/1";
    DS_AUTO(groupkey) struct ds_groupkey group = {0};

    (void)state;
    ds_groupkey_init(&group);
    for (size_t at = 14; at < 21; at++) {
        for (int byte = 1; byte < 256; byte++) {
            struct ds_error err = DS_ERROR_INIT;
            bool raw = byte <= ' ' || byte == 0x7F;
            char target[sizeof path];

            memcpy(target, path, sizeof path);
            target[at] = (char)byte;
            /* Others are refused for what they are. */
            if (strchr("%/?", byte) || byte >= 0x80)
                continue;
            if ((parse(&group, target, &err) == DS_OK) == raw)
                fail_msg("byte %d at %zu: %s", byte, at, err.text);
        }
    }
}

static void many_labels_are_sorted_like_few(void **state)
{
    static const unsigned counts[] = {2, 15, 16, 17, 18, 100};
    DS_AUTO(groupkey) struct ds_groupkey group = {0};

    (void)state;
    ds_groupkey_init(&group);
    for (size_t i = 0; i < DS_COUNT(counts); i++) {
        DS_AUTO(buf) struct ds_buf target = DS_BUF_INIT(DS_TARGET_MAX);
        struct ds_error err = DS_ERROR_INIT;

        ds_buf_adds(&target, "/metrics/job/a");
        for (unsigned k = 0; k < counts[i]; k++)
            ds_buf_addf(&target, "/x%03u/%u", k * 7 % 101, k);
        assert_int_equal(parse(&group, target.data, &err), DS_OK);
        assert_int_equal(group.n_labels, counts[i]);
        for (size_t k = 1; k < group.n_labels; k++)
            assert_true(memcmp(group.labels[k - 1].name, group.labels[k].name, 4) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_byte_is_found_wherever_it_stands),
        cmocka_unit_test(many_labels_are_sorted_like_few),
        cmocka_unit_test(targets_give_key_and_url),
        cmocka_unit_test(refusals_have_one_line_of_reason),
        cmocka_unit_test(a_long_reason_is_cut),
        cmocka_unit_test(a_target_has_at_most_8192_bytes),
        cmocka_unit_test(the_worst_target_fits),
        cmocka_unit_test(the_identity_has_job_in_its_place),
        cmocka_unit_test(one_key_may_mean_two_groups_but_one_identity_never_does),
        cmocka_unit_test(a_warm_parser_keeps_its_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
