/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/response.h"

static void a_response_is_a_head_and_a_body(void **state)
{
    DS_AUTO(response) struct ds_response response;

    (void)state;
    ds_response_init(&response);
    ds_response_begin(&response, 404);
    ds_response_header(&response, "X-A", "b");
    ds_buf_adds(&response.body, "gone\n");
    ds_response_finish(&response, "text/plain", 42, DS_RESPONSE_WHOLE);
    assert_int_equal(response.status, 404);
    assert_string_equal(response.head.data, "X-A: b\r\n"
                                            "Content-Type: text/plain\r\n"
                                            "Content-Length: 5\r\n"
                                            "X-Dshard-Generation: 42\r\n"
                                            "Status: 404 Not Found\r\n\r\n");
    assert_string_equal(response.body.data, "gone\n");
}

static void a_head_tells_the_length_of_the_body_it_does_not_have(void **state)
{
    DS_AUTO(response) struct ds_response response;

    (void)state;
    ds_response_init(&response);
    ds_response_begin(&response, 200);
    ds_buf_adds(&response.body, "12345678");
    ds_response_finish(&response, "text/plain", 0, DS_RESPONSE_HEAD);
    assert_non_null(strstr(response.head.data, "Content-Length: 8\r\n"));
    assert_int_equal(response.body.len, 0);
}

static void a_new_response_has_nothing_of_the_one_before(void **state)
{
    DS_AUTO(response) struct ds_response response;

    (void)state;
    ds_response_init(&response);
    ds_response_begin(&response, 200);
    ds_response_header(&response, "X-Old", "1");
    ds_buf_adds(&response.body, "old");
    response.body.over = true;
    ds_response_begin(&response, 503);
    ds_response_finish(&response, "text/plain", 1, DS_RESPONSE_WHOLE);
    assert_null(strstr(response.head.data, "X-Old"));
    assert_int_equal(response.body.len, 0);
    assert_false(response.body.over);
}

static void an_unknown_status_is_an_internal_error(void **state)
{
    static const unsigned known[] = {200, 307, 400, 403, 404, 405, 414, 500, 503};
    DS_AUTO(response) struct ds_response response;

    (void)state;
    ds_response_init(&response);
    for (size_t i = 0; i < DS_COUNT(known); i++) {
        DS_AUTO(str) char *line = ds_xasprintf("\r\nStatus: %u ", known[i]);

        ds_response_begin(&response, known[i]);
        ds_response_finish(&response, "text/plain", 1, DS_RESPONSE_WHOLE);
        assert_non_null(strstr(response.head.data, line));
    }
    ds_response_begin(&response, 999);
    ds_response_finish(&response, "text/plain", 1, DS_RESPONSE_WHOLE);
    assert_non_null(
        strstr(response.head.data, "\r\nStatus: 500 Internal Server Error\r\n\r\n"));
}

static void bytes_that_no_header_holds_are_escaped_in_a_url(void **state)
{
    static const char url[] = "/a?b=\r\n\t \x7f\xc3\xa4\"<%20>";
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(4096);

    (void)state;
    ds_response_add_url(&out, url, sizeof url - 1);
    assert_string_equal(out.data, "/a?b=%0D%0A%09%20%7F%C3%A4\"<%20>");
    ds_buf_clear(&out);
    ds_response_add_url(&out, "\0", 1);
    assert_string_equal(out.data, "%00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_is_a_head_and_a_body),
        cmocka_unit_test(a_head_tells_the_length_of_the_body_it_does_not_have),
        cmocka_unit_test(a_new_response_has_nothing_of_the_one_before),
        cmocka_unit_test(an_unknown_status_is_an_internal_error),
        cmocka_unit_test(bytes_that_no_header_holds_are_escaped_in_a_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
