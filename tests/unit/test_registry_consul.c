/* SPDX-License-Identifier: Apache-2.0 */
/* How it answers when nobody is there; with a Consul it is tested end to end. */
#include "test.h"

#include "config_text.h"
#include "dshard/discovery.h"

#include <stdlib.h>

static void load(struct ds_config *config, const char *pushgateway)
{
    config_from(config,
                "consul_server: {addr: '127.0.0.1:1'}\n"
                "pushgateway: {servers: [10.0.0.1, 10.0.0.2]%s}\n",
                pushgateway);
}

static void the_configuration_picks_it(void **state)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_error err = DS_ERROR_INIT;
    struct ds_registry *registry;

    (void)state;
    load(&config, "");
    registry = ds_registry_new(&config, 1000, &err);
    assert_non_null(registry);
    assert_false(registry->ops->is_state_file);
    registry->ops->free(registry);
}

static void without_consul_all_of_it_is_to_be_tried_again(void **state)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(state) struct ds_state known = {0};
    struct ds_act acts[] = {
        {.server = {"10.0.0.1:9091", 1}, .kind = DS_ACT_REGISTER},
        {.server = {"10.0.0.2:9091", 1}, .kind = DS_ACT_DRAIN},
    };
    struct ds_error err = DS_ERROR_INIT;
    struct ds_registry *registry;

    (void)state;
    load(&config, "");
    registry = ds_registry_new(&config, 1000, &err);
    assert_non_null(registry);
    assert_int_equal(registry->ops->list(registry, &known, &err), -1);
    assert_int_equal(err.code, DS_E_TEMP);
    assert_non_null(strstr(err.text, "http://127.0.0.1:1/v1/health/service/pushgateway"));
    err = (struct ds_error)DS_ERROR_INIT;
    assert_int_equal(registry->ops->apply(registry, acts, DS_COUNT(acts), &err), -1);
    assert_int_equal(err.code, DS_E_TEMP);
    assert_false(acts[0].changed);
    registry->ops->free(registry);
}

static void acts_that_failed_before_are_left_alone(void **state)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_act act = {.server = {"10.0.0.1:9091", 1}, .kind = DS_ACT_REGISTER};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_registry *registry;

    (void)state;
    load(&config, "");
    ds_fail(&act.err, DS_E_FAILED, "not this one");
    registry = ds_registry_new(&config, 1000, &err);
    assert_non_null(registry);
    assert_ok(registry->ops->apply(registry, &act, 1, &err), &err);
    assert_string_equal(act.err.text, "not this one");
    registry->ops->free(registry);
}

static void what_is_wrong_here_is_said_before_anything_is_asked(void **state)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    load(&config, ", username: u, password_file: /nowhere/password");
    assert_null(ds_registry_new(&config, 1000, &err));
    assert_int_equal(err.code, DS_E_CONFIG);
    assert_non_null(strstr(err.text, "/nowhere/password"));
    setenv("CONSUL_HTTP_SSL_VERIFY", "yes", 1);
    assert_null(ds_registry_new(&config, 1000, &err));
    unsetenv("CONSUL_HTTP_SSL_VERIFY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_picks_it),
        cmocka_unit_test(without_consul_all_of_it_is_to_be_tried_again),
        cmocka_unit_test(acts_that_failed_before_are_left_alone),
        cmocka_unit_test(what_is_wrong_here_is_said_before_anything_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
