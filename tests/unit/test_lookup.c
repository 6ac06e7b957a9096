/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/lookup.h"

static void json_is_wanted_by_whoever_accepts_it(void **state)
{
    static const struct {
        const char *accept;
        bool json;
    } cases[] = {
        {"application/json", true},
        {"Application/JSON", true},
        {"text/html, application/json , */*", true},
        {"application/json;q=0.5", true},
        {",, application/json", true},
        {NULL, false},
        {"", false},
        {",", false},
        {"*/*", false},
        {"text/html", false},
        {"application/jsonx", false},
        {"application/js", false},
        {"xapplication/json", false},
        {"text/x; a=application/json", false},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        if (ds_lookup_wants_json(cases[i].accept) != cases[i].json)
            fail_msg("'%s'", cases[i].accept ? cases[i].accept : "(none)");
    }
}

static void labels_and_key_are_escaped(void **state)
{
    static const char target[] = "/metrics/job/a%22/x/%0A";
    DS_AUTO(state) struct ds_state fleet;
    DS_AUTO(groupkey) struct ds_groupkey group;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(4096);
    struct ds_server owner = {"h:1", 1};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    ds_state_init(&fleet);
    fleet.generation = 7;
    memcpy(fleet.digest, "0123456789abcdef", sizeof fleet.digest);
    ds_groupkey_init(&group);
    assert_ok(ds_groupkey_parse(&group, target, sizeof target - 1, &err), &err);
    ds_lookup_format(&fleet, &group, &owner, "http://h:1/", &out);
    assert_string_equal(out.data, "{\"digest\":\"0123456789abcdef\",\"generation\":7,"
                                  "\"key\":\"/metrics/job/a\\\"/x/\\n\","
                                  "\"labels\":{\"job\":\"a\\\"\",\"x\":\"\\n\"},"
                                  "\"owner\":\"h:1\",\"url\":\"http://h:1/\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_wanted_by_whoever_accepts_it),
        cmocka_unit_test(labels_and_key_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
