/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/nginx.h"

#define HEAD "# Written by `dshard ring show -o nginx`: not to be edited.\n"
#define MAP                                                                              \
    "map $dshard_server $dshard_upstream {\n"                                            \
    "    default $dshard_server;\n"

static char *format(const struct ds_state *state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

    ds_nginx_format(state, &text);
    assert_false(text.over);
    return ds_xstrdup(text.data);
}

static void a_state_without_servers_has_an_empty_map(void **state_unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(str) char *text = NULL;

    (void)state_unused;
    ds_state_init(&state);
    text = format(&state);
    assert_string_equal(text, HEAD MAP "}\n");
}

static void every_server_that_is_not_out_has_an_upstream(void **state_unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(str) char *text = NULL;

    (void)state_unused;
    ds_state_init(&state);
    ds_state_add(&state, "10.0.0.1:9091", 1)->member = true;
    ds_state_add(&state, "10.0.0.2:9091", 1)->intent = DS_INTENT_OUT;
    ds_state_add(&state, "[2001:db8::1]:9091", 1)->intent = DS_INTENT_DRAINING;
    ds_state_add(&state, "push-1.example:80", 1)->health.state = DS_HEALTH_DOWN;
    text = format(&state);
    assert_string_equal(
        text, HEAD MAP
        "    \"10.0.0.1:9091\" dshard_10.0.0.1_9091;\n"
        "    \"[2001:db8::1]:9091\" dshard6_2001_db8__1_9091;\n"
        "    \"push-1.example:80\" dshard_push-1.example_80;\n"
        "}\n"
        "upstream dshard_10.0.0.1_9091 { server 10.0.0.1:9091; keepalive 8; }\n"
        "upstream dshard6_2001_db8__1_9091 { server [2001:db8::1]:9091; keepalive 8; }\n"
        "upstream dshard_push-1.example_80 { server push-1.example:80; keepalive 8; }\n");
}

/* nginx would be reloaded for nothing. */
static void what_comes_and_goes_with_health_changes_nothing(void **state_unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(str) char *before = NULL, *after = NULL;

    (void)state_unused;
    ds_state_init(&state);
    ds_state_add(&state, "a:1", 1)->member = true;
    before = format(&state);
    ds_state_find(&state, "a:1")->member = false;
    ds_state_find(&state, "a:1")->health.state = DS_HEALTH_DOWN;
    ds_state_find(&state, "a:1")->intent = DS_INTENT_DRAINING;
    ds_state_find(&state, "a:1")->server.weight = 7;
    state.generation = 99;
    state.checked_at_ms = 12345;
    after = format(&state);
    assert_string_equal(before, after);
}

static void names_that_could_be_taken_for_each_other_differ(void **state_unused)
{
    static const char *const addresses[] = {"a_:1", "a:1", "_1:9091", "[::1]:9091",
                                            "[1::]:9091"};
    static const char *const names[] = {"dshard_a__1 ", "dshard_a_1 ", "dshard__1_9091 ",
                                        "dshard6___1_9091 ", "dshard6_1___9091 "};

    (void)state_unused;
    for (size_t i = 0; i < DS_COUNT(addresses); i++) {
        DS_AUTO(state) struct ds_state state;
        DS_AUTO(str) char *text = NULL;

        ds_state_init(&state);
        ds_state_add(&state, addresses[i], 1);
        text = format(&state);
        if (!strstr(text, names[i]))
            fail_msg("no %s in %s", names[i], text);
    }
}

static void long_names_get_a_map_that_can_hold_them(void **state_unused)
{
    char name[DS_ADDRESS_MAX] = "";

    (void)state_unused;
    for (size_t len = 30; len < 250; len += 20) {
        DS_AUTO(state) struct ds_state state;
        DS_AUTO(str) char *text = NULL;

        memset(name, 'a', len);
        memcpy(name + len, ":9091", sizeof ":9091");
        ds_state_init(&state);
        ds_state_add(&state, name, 1);
        text = format(&state);
        assert_int_equal(strstr(text, "map_hash_bucket_size 512;\n") != NULL, len > 35);
        ds_state_find(&state, name)->intent = DS_INTENT_OUT;
        ds_auto_str(&text);
        text = format(&state);
        assert_null(strstr(text, "map_hash_bucket_size"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_without_servers_has_an_empty_map),
        cmocka_unit_test(every_server_that_is_not_out_has_an_upstream),
        cmocka_unit_test(what_comes_and_goes_with_health_changes_nothing),
        cmocka_unit_test(names_that_could_be_taken_for_each_other_differ),
        cmocka_unit_test(long_names_get_a_map_that_can_hold_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
