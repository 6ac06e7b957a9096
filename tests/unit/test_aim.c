/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/aim.h"

/* Intents of a:1, b:1, c:1: i(n), j(oining), d(raining), o(ut), - unknown. */
static void fill(struct ds_state *state, const char *kind, const char *intents)
{
    static const struct {
        char letter;
        enum ds_intent intent;
    } letters[] = {{'i', DS_INTENT_IN},
                   {'j', DS_INTENT_JOINING},
                   {'d', DS_INTENT_DRAINING},
                   {'o', DS_INTENT_OUT}};

    ds_state_init(state);
    ds_set_str(&state->operation_kind, kind);
    for (size_t i = 0; intents[i]; i++) {
        const char address[] = {(char)('a' + i), ':', '1', '\0'};

        for (size_t k = 0; k < DS_COUNT(letters); k++) {
            if (letters[k].letter == intents[i])
                ds_state_add(state, address, 1)->intent = letters[k].intent;
        }
    }
}

static void intents_show_whether_it_is_over(void **test)
{
    static const struct {
        const char *kind, *intents;
        enum ds_aim aim;
    } rows[] = {
        {"scale up c:1", "ii-", DS_AIM_OVER}, /* it had not begun */
        {"scale up c:1", "iij", DS_AIM_OPEN},
        {"scale up c:1", "iii", DS_AIM_GROUPS},
        {"scale up c:1", "iio", DS_AIM_OVER}, /* an operator's word */
        {"scale up c:1", "iid", DS_AIM_OVER},
        {"scale up c:1", "ijo", DS_AIM_OVER}, /* another one joins */
        {"scale up b:1 c:1", "iij", DS_AIM_OPEN},
        {"scale up b:1 c:1", "iio", DS_AIM_GROUPS},
        {"scale up b:1 ...", "iij", DS_AIM_GROUPS},
        {"scale down c:1", "iii", DS_AIM_OVER},
        {"scale down c:1", "iid", DS_AIM_OPEN},
        {"scale down c:1", "iio", DS_AIM_OVER},
        {"scale down c:1", "ii-", DS_AIM_OVER},
        {"scale to a:1 b:1", "iid", DS_AIM_OPEN},
        {"scale to a:1 b:1", "ijd", DS_AIM_OPEN},
        {"scale to a:1 b:1", "ijo", DS_AIM_OPEN},
        {"scale to a:1 b:1", "iio", DS_AIM_GROUPS},
        {"scale to a:1 ...", "iii", DS_AIM_OPEN}, /* it cannot be seen */
        {"drain c:1", "iid", DS_AIM_GROUPS},
        {"drain c:1", "iii", DS_AIM_OVER},
        {"drain c:1", "iio", DS_AIM_OVER},
        {"scale up", "iii", DS_AIM_OPEN},
        {"scale up 1c:1 c:11 xc:1", "iij", DS_AIM_OVER}, /* other names */
        {"groups move", "iij", DS_AIM_NONE},
        {"scale upc:1", "iij", DS_AIM_NONE},
        {"", "iij", DS_AIM_NONE},
        {NULL, "iij", DS_AIM_NONE},
    };

    (void)test;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(state) struct ds_state state;

        fill(&state, rows[i].kind, rows[i].intents);
        if (ds_aim_of(&state) != rows[i].aim)
            fail_msg("%s, %s: %d", rows[i].kind, rows[i].intents, ds_aim_of(&state));
    }
}

static void the_advice_is_a_command_and_the_way_back(void **test)
{
    static const struct {
        const char *kind, *intents, *advice;
    } rows[] = {
        {"scale up b:1 c:1", "ijj",
         "run it again: dshard scale up b:1 c:1, or give it up: dshard deregister b:1 "
         "c:1"},
        {"scale up c:1", "iii", "run it again: dshard scale up c:1"},
        {"scale down c:1", "iid",
         "run it again: dshard scale down c:1, or give it up: dshard undrain c:1"},
        {"scale to a:1 b:1", "iid", "run it again: dshard scale to a:1 b:1"},
        {"drain c:1", "iid", "run it again: dshard drain c:1 --wait"},
        {"groups move", "iid", "run it again: dshard groups move"},
        {"scale up", "iij", "run it again"},
        {"scale down b:1 ...", "idd", "run it again, or give it up: dshard undrain b:1"},
    };

    (void)test;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(4096);
        DS_AUTO(state) struct ds_state state;

        fill(&state, rows[i].kind, rows[i].intents);
        ds_aim_add_advice(&state, &out);
        assert_string_equal(out.data, rows[i].advice);
    }
}

static void more_servers_than_fit_are_left_out_and_that_shows(void **test)
{
    const char *servers[100] = {NULL};

    (void)test;
    for (size_t n = 0; n <= DS_COUNT(servers); n++) {
        DS_AUTO(str) char *kind = NULL;

        for (size_t i = 0; i < n; i++)
            servers[i] = "host:9091";
        kind = ds_aim_kind("scale up", servers, n);
        assert_true(strlen(kind) <= DS_AIM_KIND_MAX);
        assert_int_equal(strstr(kind, " ...") != NULL, n > 19);
        if (n <= 19)
            assert_int_equal(strlen(kind), 8 + 10 * n);
    }
}

static void only_kinds_with_servers_are_about_servers(void **test)
{
    (void)test;
    assert_true(ds_aim_is_servers("scale to a:1"));
    assert_true(ds_aim_is_servers("drain a:1"));
    assert_false(ds_aim_is_servers("groups move"));
    assert_false(ds_aim_is_servers("drained a:1"));
    assert_false(ds_aim_is_servers(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intents_show_whether_it_is_over),
        cmocka_unit_test(the_advice_is_a_command_and_the_way_back),
        cmocka_unit_test(more_servers_than_fit_are_left_out_and_that_shows),
        cmocka_unit_test(only_kinds_with_servers_are_about_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
