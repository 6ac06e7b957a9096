/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/pages.h"

static const struct ds_fcgi_page *find(const char *path)
{
    return ds_fcgi_page_find(path, strlen(path));
}

static void a_page_is_found_by_its_whole_path(void **unused)
{
    static const char *const none[] = {"",   "/",   "/sd/",          "/s",
                                       "sd", "/SD", "/metrics/job/a"};

    (void)unused;
    assert_string_equal(find("/sd")->path, "/sd");
    assert_string_equal(ds_fcgi_page_find("/sd?x", 3)->path, "/sd");
    assert_string_equal(find("/-/healthy")->path, "/-/healthy");
    for (size_t i = 0; i < DS_COUNT(none); i++)
        assert_null(find(none[i]));
}

static void without_a_state_a_page_that_needs_one_writes_nothing(void **unused)
{
    static const char *const needy[] = {"/sd", "/-/ready"};
    DS_AUTO(response) struct ds_response response;
    struct ds_view view = {0};
    struct ds_request request = {.method = "GET"};

    (void)unused;
    ds_response_init(&response);
    for (size_t i = 0; i < DS_COUNT(needy); i++) {
        assert_null(find(needy[i])->write(&view, &request, &response));
        assert_int_equal(response.head.len + response.body.len, 0);
    }
    assert_non_null(find("/-/healthy")->write(&view, &request, &response));
    assert_int_equal(response.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_found_by_its_whole_path),
        cmocka_unit_test(without_a_state_a_page_that_needs_one_writes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
