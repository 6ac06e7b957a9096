/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "config_text.h"
#include "dshard/consul_payload.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char password_path[] = "/tmp/dshard-test-password-XXXXXX";

static void write_password(const char *text)
{
    FILE *file = fopen(password_path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void load(struct ds_config *config, const char *consul, const char *more)
{
    config_from(config, "consul_server: {%s}\n%s", consul,
                *more ? more : "pushgateway: {servers: [10.0.0.1]}\n");
}

static struct ds_consul_payload *make(const struct ds_config *config, const char *address,
                                      unsigned weight, const struct ds_consul_auth *auth)
{
    struct ds_server server = {.weight = weight};
    static const struct ds_consul_auth none;

    memcpy(server.address, address, strlen(address) + 1);
    return ds_consul_payload_new(config, &server, DS_INTENT_IN, auth ? auth : &none);
}

static json_t *parse(const struct ds_consul_payload *payload)
{
    json_error_t error;
    json_t *root = json_loads(ds_consul_payload_text(payload), 0, &error);

    assert_non_null(root);
    return root;
}

static const char *at(const json_t *root, const char *first, const char *second)
{
    const json_t *value = json_object_get(root, first);

    return json_string_value(second ? json_object_get(value, second) : value);
}

static void the_payload_has_what_was_configured(void **state)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;
    json_auto_t *root = NULL;

    (void)state;
    load(&config, "register_service_name: pgw, tags: [a, b]",
         "pushgateway: {scheme: https, route_prefix: /pg, servers: [10.0.0.1]}\n"
         "health_check: {path: /-/ready, interval: 1500ms, timeout: 3s, "
         "deregister_after: 48h}\n");
    payload = make(&config, "10.0.0.1:9092", 7, NULL);
    root = parse(payload);
    assert_string_equal(ds_consul_payload_id(payload), "10.0.0.1_9092");
    assert_string_equal(at(root, "ID", NULL), "10.0.0.1_9092");
    assert_string_equal(at(root, "Name", NULL), "pgw");
    assert_string_equal(at(root, "Address", NULL), "10.0.0.1");
    assert_int_equal(json_integer_value(json_object_get(root, "Port")), 9092);
    assert_int_equal(json_array_size(json_object_get(root, "Tags")), 2);
    assert_string_equal(at(root, "Meta", "dshard-weight"), "7");
    assert_int_equal(strlen(at(root, "Meta", "dshard-reg")), 16);
    assert_string_equal(at(root, "Check", "CheckID"), "service:10.0.0.1_9092");
    assert_string_equal(at(root, "Check", "HTTP"), "https://10.0.0.1:9092/pg/-/ready");
    assert_string_equal(at(root, "Check", "Interval"), "1500ms");
    assert_string_equal(at(root, "Check", "Timeout"), "3s");
    assert_string_equal(at(root, "Check", "DeregisterCriticalServiceAfter"), "172800s");
    assert_null(json_object_get(json_object_get(root, "Check"), "Header"));
}

static void the_defaults_are_the_seeds_and_nothing_reaps(void **state)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;
    json_auto_t *root = NULL;
    const json_t *check;

    (void)state;
    load(&config, "", "");
    payload = make(&config, "10.0.0.1:9091", 1, NULL);
    root = parse(payload);
    check = json_object_get(root, "Check");
    assert_string_equal(at(root, "Name", NULL), "pushgateway");
    assert_string_equal(at(root, "Check", "HTTP"), "http://10.0.0.1:9091/-/healthy");
    assert_string_equal(at(root, "Check", "Interval"), "5s");
    assert_string_equal(at(root, "Check", "Timeout"), "2s");
    assert_null(json_object_get(check, "DeregisterCriticalServiceAfter"));
    assert_null(json_object_get(check, "Status")); /* no trust in advance */
    assert_true(json_is_array(json_object_get(root, "Tags")));
}

static void who_joins_says_so_and_that_is_a_change(void **state)
{
    static const struct ds_consul_auth none;
    static const enum ds_intent others[] = {DS_INTENT_IN, DS_INTENT_DRAINING,
                                            DS_INTENT_OUT};
    struct ds_server server = {"10.0.0.1:9091", 1};
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *joining = NULL;
    json_auto_t *root = NULL;

    (void)state;
    load(&config, "", "");
    joining = ds_consul_payload_new(&config, &server, DS_INTENT_JOINING, &none);
    root = parse(joining);
    assert_string_equal(at(root, "Meta", "dshard-intent"), "joining");
    for (size_t i = 0; i < DS_COUNT(others); i++) {
        DS_AUTO(consul_payload)
        struct ds_consul_payload *other =
            ds_consul_payload_new(&config, &server, others[i], &none);
        json_auto_t *theirs = parse(other);

        assert_null(at(theirs, "Meta", "dshard-intent"));
        assert_string_not_equal(at(theirs, "Meta", "dshard-reg"),
                                at(root, "Meta", "dshard-reg"));
    }
}

static void ids_are_host_and_port(void **state)
{
    static const struct {
        const char *address, *id, *host;
    } rows[] = {
        {"10.0.0.1:9091", "10.0.0.1_9091", "10.0.0.1"},
        {"pg-1.example.com:80", "pg-1.example.com_80", "pg-1.example.com"},
        {"[::1]:9091", "::1_9091", "::1"},
        {"[fd00::1:2]:65535", "fd00::1:2_65535", "fd00::1:2"},
    };
    DS_AUTO(config) struct ds_config config;

    (void)state;
    load(&config, "", "");
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(consul_payload)
        struct ds_consul_payload *payload = make(&config, rows[i].address, 1, NULL);
        DS_AUTO(str) char *id = ds_consul_service_id(rows[i].address);
        json_auto_t *root = parse(payload);

        assert_string_equal(id, rows[i].id);
        assert_string_equal(ds_consul_payload_id(payload), rows[i].id);
        assert_string_equal(at(root, "Address", NULL), rows[i].host);
    }
}

/* What an agent would answer after having taken the payload. */
static json_t *echo(const struct ds_consul_payload *payload)
{
    json_auto_t *root = parse(payload);

    return json_pack(
        "{ss,ss,sO,sO,sO,sO,s{si,si}}", "ID", at(root, "ID", NULL), "Service",
        at(root, "Name", NULL), "Tags", json_object_get(root, "Tags"), "Meta",
        json_object_get(root, "Meta"), "Port", json_object_get(root, "Port"), "Address",
        json_object_get(root, "Address"), "Weights", "Passing", 1, "Warning", 1);
}

static enum ds_consul_match match(const struct ds_consul_payload *payload,
                                  const json_t *answer)
{
    DS_AUTO(str) char *text = json_dumps(answer, 0);
    enum ds_consul_match out = DS_CONSUL_FOREIGN;
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_consul_payload_compare(payload, text, strlen(text), &out, &err), &err);
    return out;
}

static void its_own_echo_is_the_same(void **state)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;
    json_auto_t *answer = NULL;

    (void)state;
    load(&config, "tags: [x]", "");
    payload = make(&config, "[::1]:9091", 3, NULL);
    answer = echo(payload);
    assert_int_equal(match(payload, answer), DS_CONSUL_SAME);
    json_object_set_new(json_object_get(answer, "Meta"), "other", json_string("kept"));
    assert_int_equal(match(payload, answer), DS_CONSUL_SAME);
}

static void each_difference_counts(void **state)
{
    static const struct {
        const char *in, *key, *value;
        enum ds_consul_match match;
    } rows[] = {
        {NULL, "Service", "other", DS_CONSUL_DIFFERENT},
        {NULL, "Address", "10.0.0.9", DS_CONSUL_FOREIGN},
        {NULL, "Port", "9091", DS_CONSUL_FOREIGN}, /* text is no number */
        {NULL, "Tags", "x", DS_CONSUL_DIFFERENT},
        {"Meta", "dshard-reg", "0123456789abcdef", DS_CONSUL_DIFFERENT},
        {"Meta", "dshard-weight", "2", DS_CONSUL_DIFFERENT},
        {NULL, "Meta", NULL, DS_CONSUL_DIFFERENT},
        {NULL, "Tags", NULL, DS_CONSUL_DIFFERENT},
    };
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;

    (void)state;
    load(&config, "tags: [x]", "");
    payload = make(&config, "10.0.0.1:9091", 1, NULL);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        json_auto_t *answer = echo(payload);
        json_t *place = rows[i].in ? json_object_get(answer, rows[i].in) : answer;

        if (rows[i].value)
            json_object_set_new(place, rows[i].key, json_string(rows[i].value));
        else
            json_object_del(place, rows[i].key);
        assert_int_equal(match(payload, answer), rows[i].match);
    }
}

static void no_tags_may_be_null(void **state)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;
    json_auto_t *answer = NULL;

    (void)state;
    load(&config, "", "");
    payload = make(&config, "10.0.0.1:9091", 1, NULL);
    answer = echo(payload);
    json_object_set_new(answer, "Tags", json_null());
    assert_int_equal(match(payload, answer), DS_CONSUL_SAME);
}

static void what_is_no_service_is_an_error(void **state)
{
    static const char *const texts[] = {"", "[]", "null", "{", "unknown service ID: x"};
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;

    (void)state;
    load(&config, "", "");
    payload = make(&config, "10.0.0.1:9091", 1, NULL);
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        enum ds_consul_match out;
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(
            ds_consul_payload_compare(payload, texts[i], strlen(texts[i]), &out, &err),
            -1);
        assert_int_equal(err.code, DS_E_FORMAT);
    }
}

static void checks_are_found(void **state)
{
    static const struct {
        const char *checks;
        bool there;
    } rows[] = {
        {"{\"service:10.0.0.1_9091\":{\"ServiceID\":\"10.0.0.1_9091\"}}", true},
        {"{\"service:10.0.0.1_9091\":{\"ServiceID\":\"other\"}}", false},
        {"{\"_service_maintenance:10.0.0.1_9091\":{\"ServiceID\":\"10.0.0.1_9091\"}}",
         false},
        {"{}", false},
        {"[]", false},
        {"no JSON", false},
    };
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;

    (void)state;
    load(&config, "", "");
    payload = make(&config, "10.0.0.1:9091", 1, NULL);
    for (size_t i = 0; i < DS_COUNT(rows); i++)
        assert_int_equal(
            ds_consul_payload_has_check(payload, rows[i].checks, strlen(rows[i].checks)),
            rows[i].there);
}

static const char WITH_PASSWORD[] =
    "pushgateway: {servers: [10.0.0.1], username: admin, password_file: %s}\n";

static void a_password_is_in_the_header_and_nowhere_else(void **state)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *first = NULL;
    DS_AUTO(consul_payload) struct ds_consul_payload *second = NULL;
    struct ds_consul_auth auth;
    DS_AUTO(str) char *more = ds_xasprintf(WITH_PASSWORD, password_path);
    struct ds_error err = DS_ERROR_INIT;
    json_auto_t *root = NULL;
    json_auto_t *answer = NULL;

    (void)state;
    write_password("hunter2\n");
    load(&config, "", more);
    assert_ok(ds_consul_auth_init(&auth, &config, &err), &err);
    assert_string_equal(auth.header, "Basic YWRtaW46aHVudGVyMg==");
    first = make(&config, "10.0.0.1:9091", 1, &auth);
    root = parse(first);
    assert_non_null(strstr(ds_consul_payload_text(first), auth.header));
    answer = json_incref(json_object_get(root, "Meta"));
    assert_int_equal(json_object_size(answer), 2);
    assert_string_not_equal(at(root, "Meta", "dshard-reg"), auth.digest);
    ds_consul_auth_release(&auth);

    write_password("hunter3\n");
    assert_ok(ds_consul_auth_init(&auth, &config, &err), &err);
    second = make(&config, "10.0.0.1:9091", 1, &auth);
    ds_consul_auth_release(&auth);
    json_decref(answer);
    answer = echo(first);
    assert_int_equal(match(first, answer), DS_CONSUL_SAME);
    assert_int_equal(match(second, answer), DS_CONSUL_DIFFERENT);
}

static void a_missing_password_file_is_named(void **state)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_consul_auth auth;
    DS_AUTO(str) char *more = ds_xasprintf(WITH_PASSWORD, "/nowhere/password");
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    load(&config, "", more);
    assert_int_equal(ds_consul_auth_init(&auth, &config, &err), -1);
    assert_int_equal(err.code, DS_E_CONFIG);
    assert_non_null(strstr(err.text, "/nowhere/password"));
    ds_consul_auth_release(&auth);
}

static void the_digest_is_stable(void **state)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(consul_payload) struct ds_consul_payload *a = NULL;
    DS_AUTO(consul_payload) struct ds_consul_payload *b = NULL;

    (void)state;
    load(&config, "tags: [x]", "");
    a = make(&config, "10.0.0.1:9091", 1, NULL);
    b = make(&config, "10.0.0.1:9091", 1, NULL);
    assert_string_equal(ds_consul_payload_text(a), ds_consul_payload_text(b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_payload_has_what_was_configured),
        cmocka_unit_test(the_defaults_are_the_seeds_and_nothing_reaps),
        cmocka_unit_test(who_joins_says_so_and_that_is_a_change),
        cmocka_unit_test(ids_are_host_and_port),
        cmocka_unit_test(its_own_echo_is_the_same),
        cmocka_unit_test(each_difference_counts),
        cmocka_unit_test(no_tags_may_be_null),
        cmocka_unit_test(what_is_no_service_is_an_error),
        cmocka_unit_test(checks_are_found),
        cmocka_unit_test(a_password_is_in_the_header_and_nowhere_else),
        cmocka_unit_test(a_missing_password_file_is_named),
        cmocka_unit_test(the_digest_is_stable),
    };
    int fd = mkstemp(password_path);
    int failed;

    if (fd >= 0)
        close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(password_path);
    return failed;
}
