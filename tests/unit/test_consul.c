/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../src/consul_impl.h"

#include <stdlib.h>

static void answer(struct ds_http_response *response, int status, const char *headers,
                   const char *body)
{
    ds_http_response_init(response);
    response->status = status;
    response->body.max = 65536;
    ds_buf_adds(&response->headers, headers);
    ds_buf_adds(&response->body, body);
}

static struct ds_consul *fresh(const char *service)
{
    struct ds_consul *consul = ds_xcalloc(1, sizeof *consul);

    ds_set_str(&consul->url, "http://c:8500");
    ds_set_str(&consul->service, service);
    ds_set_str(&consul->token, "t0p-secret");
    ds_set_str(&consul->username, "ops");
    ds_set_str(&consul->password, "hunter2");
    return consul;
}

static void the_index_is_read_from_good_answers_only(void **state)
{
    static const struct {
        int status;
        const char *headers;
        uint64_t index;
    } rows[] = {
        {200, "X-Consul-Index: 17\r\n", 17},
        {200, "x-consul-index:17\r\n", 17},
        {404, "X-Consul-Index: 5\r\n", 5}, /* no such key, and that can be watched */
        {200, "X-Consul-Index: 0\r\n", 1},
        {200, "X-Consul-Index: 18446744073709551615\r\n", UINT64_MAX},
        {200, "X-Consul-Index: 18446744073709551616\r\n", 0},
        {200, "X-Consul-Index: -1\r\n", 0},
        {200, "X-Consul-Index: abc\r\n", 0},
        {200, "X-Consul-Index: \r\n", 0},
        {200, "", 0},
        {500, "X-Consul-Index: 1\r\n", 0}, /* errors carry this one */
        {403, "X-Consul-Index: 1\r\n", 0},
        {0, "X-Consul-Index: 17\r\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(http_response) struct ds_http_response response;

        answer(&response, rows[i].status, rows[i].headers, "");
        assert_int_equal(ds_consul_index(&response), rows[i].index);
    }
}

static void answers_are_judged(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum ds_consul_allow allow;
        enum ds_code code;
        const char *words;
    } rows[] = {
        {200, "[]", DS_CONSUL_ALLOW_NONE, DS_OK, NULL},
        {204, "", DS_CONSUL_ALLOW_NONE, DS_OK, NULL},
        {404, "", DS_CONSUL_ALLOW_404, DS_OK, NULL},
        {404, "", DS_CONSUL_ALLOW_NONE, DS_E_PEER, ": 404"},
        {403, "ACL not found", DS_CONSUL_ALLOW_404, DS_E_PEER, ": 403: ACL not found"},
        {403, "Permission denied: a\nb", DS_CONSUL_ALLOW_NONE, DS_E_PEER,
         ": 403: Permission denied: a"},
        {400, "Invalid \x01wait\xff time", DS_CONSUL_ALLOW_NONE, DS_E_PEER,
         ": 400: Invalid ?wait? time"},
        {301, "", DS_CONSUL_ALLOW_NONE, DS_E_PEER, ": 301"},
        {429, "slow down", DS_CONSUL_ALLOW_NONE, DS_E_TEMP, ": 429: slow down"},
        {500, "No cluster leader", DS_CONSUL_ALLOW_404, DS_E_TEMP,
         ": 500: No cluster leader"},
        {503, "", DS_CONSUL_ALLOW_NONE, DS_E_TEMP, ": 503"},
    };
    DS_AUTO(consul) struct ds_consul *consul = fresh("pushgateway");
    struct ds_consul_call call = {.method = "PUT", .path = "/v1/x", .query = "a=b"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;
        int rc;

        answer(&response, rows[i].status, "", rows[i].body);
        rc = ds_consul_judge(consul, &call, rows[i].allow, &response, &err);
        assert_int_equal(rc, rows[i].code == DS_OK ? 0 : -1);
        assert_int_equal(err.code, rows[i].code);
        if (!rows[i].words)
            continue;
        assert_non_null(strstr(err.text, "PUT http://c:8500/v1/x?a=b: "));
        assert_non_null(strstr(err.text, rows[i].words));
        assert_null(strstr(err.text, "secret"));
        assert_null(strstr(err.text, "hunter2"));
    }
}

static void no_answer_is_temporary(void **state)
{
    DS_AUTO(consul) struct ds_consul *consul = fresh("pushgateway");
    struct ds_consul_call call = {.path = "/v1/status/leader"};
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    answer(&response, 0, "", "");
    ds_fail(&response.err, DS_E_NET, "GET http://c:8500/v1/status/leader: refused");
    assert_int_equal(
        ds_consul_judge(consul, &call, DS_CONSUL_ALLOW_NONE, &response, &err), -1);
    assert_int_equal(err.code, DS_E_TEMP);
    assert_int_equal(ds_code_exit_status(err.code), 75);
    assert_string_equal(err.text, "GET http://c:8500/v1/status/leader: refused");
}

static void the_datacenter_is_in_the_query(void **state)
{
    static const struct {
        const char *query, *url;
    } rows[] = {
        {NULL, "http://c:8500/v1/x?dc=dc%201%26: 400"},
        {"keys", "http://c:8500/v1/x?dc=dc%201%26&keys: 400"},
    };
    DS_AUTO(consul) struct ds_consul *consul = fresh("pushgateway");

    (void)state;
    ds_set_str(&consul->datacenter, "dc 1&");
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_consul_call call = {.path = "/v1/x", .query = rows[i].query};
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;

        answer(&response, 400, "", "");
        assert_int_equal(
            ds_consul_judge(consul, &call, DS_CONSUL_ALLOW_NONE, &response, &err), -1);
        assert_non_null(strstr(err.text, rows[i].url));
    }
}

static void keys_are_escaped_but_for_their_slashes(void **state)
{
    static const struct {
        const char *service, *rest, *key;
    } rows[] = {
        {"pushgateway", "ring", "dshard/pushgateway/ring"},
        {"pushgateway", "out/", "dshard/pushgateway/out/"},
        {"pushgateway", "out/10.0.0.1:9091", "dshard/pushgateway/out/10.0.0.1%3A9091"},
        {"pushgateway", "out/[::1]:9091", "dshard/pushgateway/out/%5B%3A%3A1%5D%3A9091"},
        {"a/b c", "x?y", "dshard/a%2Fb%20c/x%3Fy"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(consul) struct ds_consul *consul = fresh(rows[i].service);
        DS_AUTO(buf) struct ds_buf key = DS_BUF_INIT(DS_CONSUL_PATH_MAX);

        ds_consul_key(consul, rows[i].rest, &key);
        assert_string_equal(key.data, rows[i].key);
    }
}

static void a_call_to_nobody_is_temporary_and_says_where(void **state)
{
    DS_AUTO(consul) struct ds_consul *consul = fresh("pushgateway");
    struct ds_consul_call call = {.path = "/v1/status/leader", .timeout_ms = 2000};
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    ds_set_str(&consul->url, "http://127.0.0.1:1");
    ds_http_response_init(&response);
    assert_int_equal(ds_consul_do(consul, &call, DS_CONSUL_ALLOW_NONE, &response, &err),
                     -1);
    assert_int_equal(err.code, DS_E_TEMP);
    assert_non_null(strstr(err.text, "GET http://127.0.0.1:1/v1/status/leader: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_is_read_from_good_answers_only),
        cmocka_unit_test(answers_are_judged),
        cmocka_unit_test(no_answer_is_temporary),
        cmocka_unit_test(the_datacenter_is_in_the_query),
        cmocka_unit_test(keys_are_escaped_but_for_their_slashes),
        cmocka_unit_test(a_call_to_nobody_is_temporary_and_says_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
