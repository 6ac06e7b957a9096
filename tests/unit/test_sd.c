/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/sd.h"

#include <jansson.h>

static void format(const struct ds_state *state, json_t **out)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    json_error_t err;

    ds_sd_format(state, &text);
    assert_false(text.over);
    *out = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &err);
    if (!*out)
        fail_msg("%s in %s", err.text, text.data);
}

static const char *label(const json_t *targets, size_t i, const char *name)
{
    const json_t *group = json_array_get(targets, i);

    return json_string_value(json_object_get(json_object_get(group, "labels"), name));
}

static const char *target(const json_t *targets, size_t i)
{
    const json_t *group = json_array_get(targets, i);

    return json_string_value(json_array_get(json_object_get(group, "targets"), 0));
}

static void a_state_without_servers_is_an_empty_list(void **state_unused)
{
    DS_AUTO(state) struct ds_state state;
    json_auto_t *targets = NULL;

    (void)state_unused;
    ds_state_init(&state);
    format(&state, &targets);
    assert_true(json_is_array(targets));
    assert_int_equal(json_array_size(targets), 0);
}

static void every_server_that_is_not_out_is_listed(void **state_unused)
{
    DS_AUTO(state) struct ds_state state;
    json_auto_t *targets = NULL;

    (void)state_unused;
    ds_state_init(&state);
    ds_state_add(&state, "10.0.0.1:9091", 1)->intent = DS_INTENT_OUT;
    ds_state_add(&state, "10.0.0.2:9091", 1)->intent = DS_INTENT_DRAINING;
    ds_state_add(&state, "10.0.0.3:9091", 3)->member = true;
    ds_state_find(&state, "10.0.0.3:9091")->health.state = DS_HEALTH_DOWN;
    ds_state_add(&state, "[::1]:9091", 1)->intent = DS_INTENT_JOINING;
    format(&state, &targets);
    assert_int_equal(json_array_size(targets), 3);
    assert_string_equal(target(targets, 0), "10.0.0.2:9091");
    assert_string_equal(label(targets, 0, "__meta_dshard_intent"), "draining");
    assert_string_equal(target(targets, 1), "10.0.0.3:9091");
    assert_string_equal(label(targets, 1, "__meta_dshard_member"), "true");
    assert_string_equal(label(targets, 1, "__meta_dshard_health"), "down");
    assert_string_equal(label(targets, 1, "__meta_dshard_weight"), "3");
    assert_string_equal(target(targets, 2), "[::1]:9091");
    assert_string_equal(label(targets, 2, "__meta_dshard_intent"), "joining");
    assert_string_equal(label(targets, 2, "__meta_dshard_member"), "false");
}

/* Prometheus refuses other keys and other types, and keeps other labels on the series. */
static void a_target_has_no_labels_of_its_own(void **state_unused)
{
    DS_AUTO(state) struct ds_state state;
    json_auto_t *targets = NULL;
    const char *name;
    json_t *group, *value;

    (void)state_unused;
    ds_state_init(&state);
    ds_state_add(&state, "a:1", 1);
    format(&state, &targets);
    group = json_array_get(targets, 0);
    assert_int_equal(json_object_size(group), 2);
    json_object_foreach(json_object_get(group, "labels"), name, value)
    {
        assert_true(json_is_string(value));
        assert_memory_equal(name, "__", 2);
    }
}

static void scheme_and_prefix_of_the_servers_are_told(void **state_unused)
{
    DS_AUTO(state) struct ds_state state;
    json_auto_t *targets = NULL;

    (void)state_unused;
    ds_state_init(&state);
    ds_state_add(&state, "a:1", 1);
    format(&state, &targets);
    assert_string_equal(label(targets, 0, "__scheme__"), "http");
    assert_string_equal(label(targets, 0, "__metrics_path__"), "/metrics");
    json_decref(targets);
    memcpy(state.scheme, "https", sizeof "https");
    ds_set_str(&state.route_prefix, "/push/\"gw");
    format(&state, &targets);
    assert_string_equal(label(targets, 0, "__scheme__"), "https");
    assert_string_equal(label(targets, 0, "__metrics_path__"), "/push/\"gw/metrics");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_without_servers_is_an_empty_list),
        cmocka_unit_test(every_server_that_is_not_out_is_listed),
        cmocka_unit_test(a_target_has_no_labels_of_its_own),
        cmocka_unit_test(scheme_and_prefix_of_the_servers_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
