/* SPDX-License-Identifier: Apache-2.0 */
/* From an identity to the group.  In these tables '|' stands for 0xFF and '0' in front of
   a '!' for NUL. */
#include "test.h"

#include "dshard/groupkey.h"
#include "random.h"

enum { TEXT_MAX = 8 * DS_IDENTITY_MAX };

static void add_bytes(struct ds_buf *out, const char *text)
{
    for (; *text; text++) {
        if (text[0] == '0' && text[1] == '!')
            ds_buf_addc(out, *text++ - '0');
        else
            ds_buf_addc(out, *text == '|' ? '\xFF' : *text);
    }
}

static enum ds_code from(struct ds_groupkey *group, const char *text,
                         struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(1000);

    add_bytes(&identity, text);
    return ds_groupkey_from_identity(group, identity.data, identity.len, err) < 0
               ? err->code
               : DS_OK;
}

static void identities_give_key_and_url(void **state)
{
    static const struct {
        const char *identity, *key, *url;
    } rows[] = {
        {"job|a", "/metrics/job/a", "/metrics/job/a"},
        {"instance|i|job|a", "/metrics/job/a/instance/i", "/metrics/job/a/instance/i"},
        {"B|4|job|a|x|b/c", "/metrics/job/a/B/4/x/b/c",
         "/metrics/job/a/B/4/x@base64/Yi9j"},
        {"job|a|x|", "/metrics/job/a/x/", "/metrics/job/a/x@base64/="},
        {"job|a|x||y|", "/metrics/job/a/x//y/", "/metrics/job/a/x@base64/=/y@base64/="},
        {"_||job|.", "/metrics/job/./_/", "/metrics/job@base64/Lg/_@base64/="},
        {"job|\xC3\xA4|x|0!", "/metrics/job/\xC3\xA4/x/",
         "/metrics/job@base64/w6Q/x@base64/AA"},
        {"job|0!", "/metrics/job/", "/metrics/job@base64/AA"},
        {"job|\xEF\xBF\xBD", "/metrics/job/\xEF\xBF\xBD", "/metrics/job@base64/77-9"},
        {"job|a|x|?q=1", "/metrics/job/a/x/?q=1", "/metrics/job/a/x@base64/P3E9MQ"},
        {"job|a|x|1|x1|2|x_|3|xa|4", "/metrics/job/a/x/1/x1/2/x_/3/xa/4",
         "/metrics/job/a/x/1/x1/2/x_/3/xa/4"},
    };
    DS_AUTO(groupkey) struct ds_groupkey group = {0};

    (void)state;
    ds_groupkey_init(&group);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf again = DS_BUF_INIT(1000), want = DS_BUF_INIT(1000);
        struct ds_error err = DS_ERROR_INIT;

        if (from(&group, rows[i].identity, &err) != DS_OK)
            fail_msg("%s: %s", rows[i].identity, err.text);
        assert_string_equal(group.key.data, rows[i].key);
        assert_string_equal(group.url.data, rows[i].url);
        add_bytes(&want, rows[i].identity);
        ds_groupkey_identity(&group, &again);
        assert_int_equal(again.len, want.len);
        assert_memory_equal(again.data, want.data, want.len);
    }
}

static void what_no_url_can_say_is_refused(void **state)
{
    static const struct {
        const char *identity, *why;
    } rows[] = {
        {"", "no labels of a group: \"\""},
        {"job", "no labels of a group: \"job\""},
        {"job|a|x", "no labels of a group: \"job\\xffa\\xffx\""},
        {"job|", "no job in the labels of a group: \"job\\xff\""},
        {"x|1", "no job in the labels of a group: \"x\\xff1\""},
        {"|", "no URL can say the label name \"\""},
        {"|1|job|a", "no URL can say the label name \"\""},
        {"foo.bar|1|job|a", "no URL can say the label name \"foo.bar\""},
        {"1x|1|job|a", "no URL can say the label name \"1x\""},
        {"__x|1|job|a", "no URL can say the label name \"__x\""},
        {"job|a|\xC3\xA4|1", "no URL can say the label name \"\xC3\xA4\""},
        {"job|a|x0!|1", "no URL can say the label name \"x\\x00\""},
        {"job|a|x/y|1", "no URL can say the label name \"x/y\""},
        {"job|a|a|1", "a group's labels are not in order: \"a\""},
        {"job|a|x|1|x|2", "a group's labels are not in order: \"x\""},
        {"job|a|job|b", "a group's labels are not in order: \"job\""},
        {"job|a|xa|1|x|2", "a group's labels are not in order: \"x\""},
        {"job|a|x|\xC3", "the value of \"x\" is not UTF-8"},
    };
    DS_AUTO(groupkey) struct ds_groupkey group = {0};

    (void)state;
    ds_groupkey_init(&group);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;

        if (from(&group, rows[i].identity, &err) != DS_E_BAD_PATH)
            fail_msg("%s: code %d", rows[i].identity, (int)err.code);
        assert_string_equal(err.text, rows[i].why);
        assert_int_equal(group.n_labels, 0);
        assert_int_equal(group.url.len, 0);
    }
}

static void an_identity_has_at_most_1_mib(void **state)
{
    DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    ds_groupkey_init(&group);
    ds_buf_adds(&identity, "job\xFF");
    while (identity.len < DS_IDENTITY_MAX)
        ds_buf_addc(&identity, 'a');
    assert_ok(ds_groupkey_from_identity(&group, identity.data, identity.len, &err), &err);
    assert_false(group.url.over || group.key.over);
    assert_int_equal(group.url.len, identity.len + strlen("/metrics/"));
    ds_buf_addc(&identity, 'a');
    assert_true(ds_groupkey_from_identity(&group, identity.data, identity.len, &err) < 0);
    assert_int_equal(err.code, DS_E_BAD_PATH);
    assert_string_equal(err.text, "the labels of a group have more than 1048576 bytes");
}

/* As many labels with the shortest names and no values as fit: each becomes longest. */
static void the_worst_identity_fits(void **state)
{
    static const char tail[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(groupkey) struct ds_groupkey group = {0};
    struct ds_error err = DS_ERROR_INIT;
    size_t base = sizeof tail - 1;

    (void)state;
    ds_groupkey_init(&group);
    for (size_t i = 0; identity.len + 20 < DS_IDENTITY_MAX && i < base * base * base;
         i++) {
        ds_buf_addf(&identity, "A%c%c%c", tail[i / base / base], tail[i / base % base],
                    tail[i % base]);
        ds_buf_addf(&identity, "\xFF\xFF");
    }
    ds_buf_adds(&identity, "job\xFF+");
    assert_ok(ds_groupkey_from_identity(&group, identity.data, identity.len, &err), &err);
    assert_false(group.url.over || group.key.over);
    assert_string_equal(group.url.data + group.url.len - 9, "@base64/=");
}

static void add_random_label(struct random *r, struct ds_buf *out, const char *name)
{
    static const char *const pieces[] = {"a", "1", "/",        ".", "%",
                                         "=", "~", "\xC3\xA4", ""};
    size_t n = random_below(r, 5);

    ds_buf_addf(out, "%s%s\xFF", out->len ? "\xFF" : "", name);
    for (size_t i = 0; i < n; i++)
        ds_buf_adds(out, pieces[random_below(r, DS_COUNT(pieces))]);
    if (strcmp(name, "job") == 0)
        ds_buf_addc(out, 'j');
}

static void the_url_of_an_identity_means_the_same_group(void **state)
{
    static const char *const names[] = {"A", "_", "a", "instance", "joa", "jobs", "x"};
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 2000; round++) {
        DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(1000), back = DS_BUF_INIT(1000);
        DS_AUTO(groupkey) struct ds_groupkey one = {0}, two = {0};
        struct ds_error err = DS_ERROR_INIT;

        ds_groupkey_init(&one);
        ds_groupkey_init(&two);
        for (size_t i = 0; i < DS_COUNT(names); i++) {
            if (random_below(&r, 2))
                add_random_label(&r, &identity, names[i]);
            if (i == 4)
                add_random_label(&r, &identity, "job");
        }
        assert_ok(ds_groupkey_from_identity(&one, identity.data, identity.len, &err),
                  &err);
        assert_ok(ds_groupkey_parse(&two, one.url.data, one.url.len, &err), &err);
        assert_string_equal(one.url.data, two.url.data);
        assert_string_equal(one.key.data, two.key.data);
        ds_groupkey_identity(&two, &back);
        assert_int_equal(back.len, identity.len);
        assert_memory_equal(back.data, identity.data, back.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identities_give_key_and_url),
        cmocka_unit_test(what_no_url_can_say_is_refused),
        cmocka_unit_test(an_identity_has_at_most_1_mib),
        cmocka_unit_test(the_worst_identity_fits),
        cmocka_unit_test(the_url_of_an_identity_means_the_same_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
