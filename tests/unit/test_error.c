/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>

static void fail_sets_code_and_text(void **state)
{
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_int_equal(ds_fail(&err, DS_E_NET, "%s: port %d", "GET", 80), -1);
    assert_int_equal(err.code, DS_E_NET);
    assert_string_equal(err.text, "GET: port 80");
}

static void wrap_puts_the_context_in_front(void **state)
{
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    ds_fail(&err, DS_E_FORMAT, "line %d", 3);
    assert_int_equal(ds_wrap(&err, "'%s'", "ring.json"), -1);
    assert_int_equal(ds_wrap(&err, "reading the ring"), -1);
    assert_int_equal(err.code, DS_E_FORMAT);
    assert_string_equal(err.text, "reading the ring: 'ring.json': line 3");
}

static void a_cut_text_ends_in_dots(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    char text[2 * DS_ERROR_TEXT_MAX];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ds_fail(&err, DS_E_FAILED, "%s", text);
    assert_int_equal(strlen(err.text), DS_ERROR_TEXT_MAX - 1);
    assert_string_equal(err.text + DS_ERROR_TEXT_MAX - 5, "x...");
}

static void a_text_that_just_fits_is_not_marked(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    char text[DS_ERROR_TEXT_MAX];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ds_fail(&err, DS_E_FAILED, "%s", text);
    assert_string_equal(err.text, text);
    ds_wrap(&err, "context");
    assert_memory_equal(err.text, "context: xxx", 12);
    assert_string_equal(err.text + DS_ERROR_TEXT_MAX - 5, "x...");
}

static void a_wrap_longer_than_the_text_is_cut(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    char text[2 * DS_ERROR_TEXT_MAX];

    (void)state;
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ds_fail(&err, DS_E_FAILED, "inner");
    ds_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.text), DS_ERROR_TEXT_MAX - 1);
    assert_string_equal(err.text + DS_ERROR_TEXT_MAX - 5, "y...");
}

static void errno_words_stand_at_the_end(void **state)
{
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    errno = EACCES;
    assert_int_equal(ds_fail_errno(&err, "cannot open '%s'", "f"), -1);
    assert_int_equal(err.code, DS_E_SYSTEM);
    assert_string_equal(err.text, "cannot open 'f': Permission denied");
    errno = ENOENT;
    ds_fail_errno(&err, "cannot open '%s'", "f");
    assert_int_equal(err.code, DS_E_MISSING);
    assert_string_equal(err.text, "cannot open 'f': No such file or directory");
}

static void every_code_has_its_exit_status(void **state)
{
    static const struct {
        enum ds_code code;
        int exit_status, http_status;
    } rows[] = {
        {DS_OK, 0, 503},         {DS_E_FAILED, 1, 503},   {DS_E_USAGE, 2, 503},
        {DS_E_CONFIG, 2, 503},   {DS_E_NO, 3, 503},       {DS_E_REFUSED, 5, 503},
        {DS_E_TEMP, 75, 503},    {DS_E_MISSING, 1, 503},  {DS_E_SYSTEM, 1, 503},
        {DS_E_NET, 1, 503},      {DS_E_PEER, 1, 503},     {DS_E_FORMAT, 1, 503},
        {DS_E_NEWER, 1, 503},    {DS_E_BAD_PATH, 1, 400}, {DS_E_NOT_FOUND, 1, 404},
        {DS_E_TOO_LONG, 1, 414},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        assert_int_equal(ds_code_exit_status(rows[i].code), rows[i].exit_status);
        if (rows[i].code != DS_OK)
            assert_int_equal(ds_code_http_status(rows[i].code), rows[i].http_status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_sets_code_and_text),
        cmocka_unit_test(wrap_puts_the_context_in_front),
        cmocka_unit_test(a_cut_text_ends_in_dots),
        cmocka_unit_test(a_text_that_just_fits_is_not_marked),
        cmocka_unit_test(a_wrap_longer_than_the_text_is_cut),
        cmocka_unit_test(errno_words_stand_at_the_end),
        cmocka_unit_test(every_code_has_its_exit_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
