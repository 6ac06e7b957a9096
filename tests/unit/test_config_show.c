/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of a configuration, and the hints. */
#include "test.h"

#include "dshard/config.h"

#include <glob.h>
#include <jansson.h>

#define VALID TEST_DATA_DIR "/config/valid/"

static void ds_auto_glob(glob_t *found)
{
    globfree(found);
}

static void ds_auto_json(json_t **json)
{
    json_decref(*json);
}

static void load(struct ds_config *config, const char *path)
{
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;

    if (ds_config_load(config, path, &complaints, &err) < 0)
        fail_msg("%s\n%s", err.text, complaints.data);
}

static void parse(struct ds_config *config, const char *text)
{
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;

    if (ds_config_parse(config, "f.yml", text, strlen(text), &complaints, &err) < 0)
        fail_msg("%s\n%s", err.text, complaints.data);
}

static json_t *as_json(const struct ds_config *config)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000000);
    json_error_t error;
    json_t *json;

    ds_config_show(config, true, &text);
    json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("%s: %s", error.text, text.data);
    return json;
}

/* By the JSON, which has every value; secrets are masked in both. */
static void what_is_shown_loads_and_means_the_same(void **state)
{
    DS_AUTO(glob) glob_t found = {0};

    (void)state;
    assert_int_equal(glob(VALID "*.yml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        DS_AUTO(config) struct ds_config config = {0};
        DS_AUTO(config) struct ds_config again = {0};
        DS_AUTO(buf) struct ds_buf shown = DS_BUF_INIT(1000000);
        DS_AUTO(json) json_t *json = NULL;
        DS_AUTO(json) json_t *json_again = NULL;

        load(&config, found.gl_pathv[i]);
        ds_config_show(&config, false, &shown);
        parse(&again, shown.data);
        json = as_json(&config);
        json_again = as_json(&again);
        json_object_del(json, "file");
        json_object_del(json_again, "file");
        if (!json_equal(json, json_again))
            fail_msg("'%s' is shown as\n%s", found.gl_pathv[i], shown.data);
    }
}

static void no_secret_is_shown(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};

    (void)state;
    parse(&config, "consul_server: {username: ops, password: hunter2, token: hunter2}\n"
                   "pushgateway: {servers: [a]}\n");
    for (int json = 0; json < 2; json++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);

        ds_config_show(&config, json, &text);
        assert_null(strstr(text.data, "hunter2"));
        assert_non_null(strstr(text.data, json ? "\"password\": \"***\""
                                               : "\n  password: \"***\"\n"));
        assert_non_null(
            strstr(text.data, json ? "\"token\": \"***\"" : "\n  token: \"***\"\n"));
    }
}

static void json_has_format_1_and_every_key(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(json) json_t *json = NULL;
    const char *addr, *interval, *min_healthy, *off;
    int format, weight, port;
    json_t *password;

    (void)state;
    parse(&config, "consul_server: {addr: \"[::1]:8500\"}\n"
                   "pushgateway: {servers: [{addr: a, weight: 3}], port: 80}\n"
                   "ring: {min_healthy: 50%}\n");
    json = as_json(&config);
    assert_int_equal(
        json_unpack(json, "{s:i s:{s:s s:o} s:{s:i s:[{s:i}]} s:{s:s s:s} s:{s:s}}",
                    "format", &format, "consul_server", "addr", &addr, "password",
                    &password, "pushgateway", "port", &port, "servers", "weight", &weight,
                    "health_check", "interval", &interval, "deregister_after", &off,
                    "ring", "min_healthy", &min_healthy),
        0);
    assert_int_equal(format, 1);
    assert_string_equal(addr, "http://[::1]:8500");
    assert_true(json_is_null(password));
    assert_int_equal(port, 80);
    assert_int_equal(weight, 3);
    assert_string_equal(interval, "5s");
    assert_string_equal(off, "off");
    assert_string_equal(min_healthy, "50%");
}

static void standalone_has_no_consul_server(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);
    DS_AUTO(json) json_t *json = NULL;

    (void)state;
    parse(&config, "pushgateway: {servers: [10.0.0.1]}\n");
    json = as_json(&config);
    assert_true(json_is_null(json_object_get(json, "consul_server")));
    assert_true(json_is_null(json_object_get(json, "http_listen_addr")));
    ds_config_show(&config, false, &text);
    assert_null(strstr(text.data, "\nconsul_server:"));
    assert_non_null(strstr(text.data, "standalone"));
}

static void each_key_is_shown_with_meaning_range_and_default(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);

    (void)state;
    parse(&config, "pushgateway: {servers: [10.0.0.1, {addr: b, weight: 2}]}\n");
    ds_config_show(&config, false, &text);
    assert_non_null(strstr(text.data,
                           "  # time from one check of a server to the next [a duration "
                           "from 50ms to 1h; default 1s]\n  interval: 1s\n"));
    assert_non_null(strstr(text.data, "  # username is not set: no authentication\n"));
    assert_non_null(strstr(text.data, "  servers:\n    - \"10.0.0.1:9091\"\n"
                                      "    - {addr: \"b:9091\", weight: 2}\n"));
}

static void hints_say_what_is_legal_and_odd(void **state)
{
    static const struct {
        const char *text, *hints;
    } rows[] = {
        {"pushgateway: {servers: [10.0.0.1, \"[::1]\"]}\n", ""},
        {"pushgateway: {servers: [10.0.0.1, a, b]}\n",
         "f.yml: nginx needs a resolver in proxy mode, because of servers with a host "
         "name (2 of 3, the first is 'a:9091')\n"},
        {"pushgateway: {servers: [11.1.1.1, 1.1.1.1]}\nring: {replicas: 100}\n",
         "f.yml: '1.1.1.1:9091' and '11.1.1.1:9091' have 9 points of the ring in common, "
         "which makes the share of one of them smaller\n"},
        {"pushgateway: {servers: [1.1.1.1, 101.1.1.1, 21.1.1.10]}\n",
         "f.yml: '1.1.1.1:9091' and '101.1.1.1:9091' have 4 points of the ring in "
         "common, which makes the share of one of them smaller\n"},
        {"pushgateway: {servers: [10.0.0.1]}\nhttp_listen_addr: :9292\n",
         "f.yml: http_listen_addr is not used: a web server listens in front of "
         "dshard-fcgi\n"},
        {"consul_server: {username: a}\npushgateway: {servers: [10.0.0.1]}\n"
         "health_check: {interval: 100ms}\n",
         "f.yml: consul_server.username has no password beside it\n"
         "f.yml: health_check.interval: Consul raises it to 1s\n"},
        {"pushgateway: {servers: [\"127.0.0.1\", \"127.0.0.2\", \"[::1]:9091\", "
         "\"[::1]:9092\", \"10.0.0.1\"]}\n",
         "f.yml: '127.0.0.1:9091' and '[::1]:9091' are probably one server, which then "
         "has two shares, and its groups are not tended\n"
         "f.yml: '127.0.0.2:9091' and '[::1]:9091' are probably one server, which then "
         "has two shares, and its groups are not tended\n"},
        {"pushgateway: {servers: [\"localhost\", \"127.0.0.1\", \"127.0.0.1:9092\"]}\n",
         "f.yml: 'localhost:9091' and '127.0.0.1:9091' are probably one server, which "
         "then has two shares, and its groups are not tended\n"
         "f.yml: nginx needs a resolver in proxy mode, because of servers with a host "
         "name (1 of 3, the first is 'localhost:9091')\n"},
        {"consul_server: {token: \"***\"}\npushgateway: {servers: [10.0.0.1]}\n",
         "f.yml: consul_server.token is '***', which `config show` prints for a "
         "secret\n"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(config) struct ds_config config = {0};
        DS_AUTO(buf) struct ds_buf hints = DS_BUF_INIT(100000);

        parse(&config, rows[i].text);
        ds_config_hints(&config, &hints);
        assert_string_equal(hints.data, rows[i].hints);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shown_loads_and_means_the_same),
        cmocka_unit_test(no_secret_is_shown),
        cmocka_unit_test(json_has_format_1_and_every_key),
        cmocka_unit_test(standalone_has_no_consul_server),
        cmocka_unit_test(each_key_is_shown_with_meaning_range_and_default),
        cmocka_unit_test(hints_say_what_is_legal_and_odd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
