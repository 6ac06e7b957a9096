/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/consul_session.h"

#include <stdlib.h>

static void answer(struct ds_http_response *response, int status, const char *body)
{
    ds_http_response_init(response);
    response->status = status;
    response->body.max = 65536;
    ds_buf_adds(&response->body, body);
}

static void only_a_session_for_the_ttl_outlives_its_agent(void **state)
{
    DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(1000);

    (void)state;
    ds_consul_session_body(DS_SESSION_ENDS_WITH_AGENT, &body);
    assert_string_equal(body.data, "{\"Name\":\"dshard\",\"TTL\":\"10s\",\"LockDelay\":"
                                   "\"1s\",\"Behavior\":\"delete\"}");
    ds_buf_clear(&body);
    ds_consul_session_body(DS_SESSION_ENDS_BY_TTL, &body);
    assert_string_equal(body.data,
                        "{\"Name\":\"dshard\",\"TTL\":\"10s\",\"LockDelay\":\"1s\","
                        "\"Behavior\":\"delete\",\"NodeChecks\":[]}");
}

static void an_id_is_read_only_when_it_fits_into_a_url(void **state)
{
    static const struct {
        const char *body, *id;
    } rows[] = {
        {"{\"ID\":\"adf4238a-882b-9ddc-4a9d-5b6758e4159e\"}",
         "adf4238a-882b-9ddc-4a9d-5b6758e4159e"},
        {"{\"ID\":\"0\",\"Other\":1}", "0"},
        {"{\"ID\":\"\"}", NULL},
        {"{\"ID\":\"a/b\"}", NULL},
        {"{\"ID\":\"a\\nb\"}", NULL},
        {"{\"ID\":7}", NULL},
        {"{\"ID\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
         NULL},
        {"{}", NULL},
        {"[]", NULL},
        {"{\"ID\":\"ab", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(http_response) struct ds_http_response response;
        DS_AUTO(str) char *id = NULL;

        answer(&response, 200, rows[i].body);
        id = ds_consul_session_id(&response);
        if (rows[i].id)
            assert_string_equal(id, rows[i].id);
        else
            assert_null(id);
    }
}

static void a_key_tells_its_holder_and_its_value(void **state)
{
    static const struct {
        int status;
        const char *body;
        int rc;
        const char *holder, *value;
    } rows[] = {
        {404, "", 0, NULL, ""},
        {200, "[{\"Session\":\"abc\",\"Value\":\"eHk=\"}]", 0, "abc", "xy"},
        {200, "[{\"Value\":\"eHk=\"}]", 0, NULL, "xy"},
        {200, "[{\"Session\":\"abc\",\"Value\":null}]", 0, "abc", ""},
        {200, "[{\"Session\":\"abc\",\"Value\":\"!!\"}]", 0, "abc", ""},
        {200, "[{\"Session\":7}]", 0, NULL, ""},
        {200, "[]", 0, NULL, ""},
        {200, "{}", -1, NULL, ""},
        {200, "[{\"Session\":", -1, NULL, ""},
        {200, "", -1, NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(http_response) struct ds_http_response response;
        DS_AUTO(buf) struct ds_buf value = DS_BUF_INIT(1000);
        DS_AUTO(str) char *holder = NULL;

        answer(&response, rows[i].status, rows[i].body);
        assert_int_equal(ds_consul_session_holder(&response, &holder), rows[i].rc);
        ds_consul_session_value(&response, &value);
        assert_string_equal(value.data, rows[i].value);
        if (rows[i].holder)
            assert_string_equal(holder, rows[i].holder);
        else
            assert_null(holder);
    }
}

static void true_is_said_with_or_without_a_newline(void **state)
{
    static const struct {
        int status;
        const char *body;
        bool is_true, has_ended;
    } rows[] = {
        {200, "true", true, false},
        {200, "true\n", true, false},
        {200, "false\n", false, false},
        {200, "", false, false},
        {500, "invalid session \"x\"", false, true},
        {500, "rpc error making call: invalid session \"x\"", false, true},
        {500, "No cluster leader", false, false},
        {200, "invalid session", false, false},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(http_response) struct ds_http_response response;

        answer(&response, rows[i].status, rows[i].body);
        assert_int_equal(ds_consul_says_true(&response), rows[i].is_true);
        assert_int_equal(ds_consul_says_no_session(&response), rows[i].has_ended);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_session_for_the_ttl_outlives_its_agent),
        cmocka_unit_test(an_id_is_read_only_when_it_fits_into_a_url),
        cmocka_unit_test(a_key_tells_its_holder_and_its_value),
        cmocka_unit_test(true_is_said_with_or_without_a_newline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
