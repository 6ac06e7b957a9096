/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../src/consul_impl.h"
#include "config_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const variables[] = {
    "CONSUL_HTTP_ADDR",       "CONSUL_HTTP_AUTH",   "CONSUL_HTTP_SSL",
    "CONSUL_HTTP_SSL_VERIFY", "CONSUL_HTTP_TOKEN",  "CONSUL_HTTP_TOKEN_FILE",
    "CONSUL_CACERT",          "CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY",
    "CONSUL_TLS_SERVER_NAME",
};

static char token_path[] = "/tmp/dshard-test-token-XXXXXX";

static int clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < DS_COUNT(variables); i++)
        unsetenv(variables[i]);
    return 0;
}

static void write_token(const char *text)
{
    FILE *file = fopen(token_path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* The settings that come of these keys below consul_server, or NULL and the error. */
static struct ds_consul *make(const char *keys, struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;

    config_from(&config, "consul_server: {%s}\npushgateway: {servers: [10.0.0.1]}\n",
                keys);
    return ds_consul_new(&config, err);
}

static void refused(const char *keys, const char *words)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_null(make(keys, &err));
    assert_int_equal(err.code, DS_E_CONFIG);
    assert_int_equal(ds_code_exit_status(err.code), 2);
    if (!strstr(err.text, words))
        fail_msg("'%s' is not in: %s", words, err.text);
}

static void addresses_become_urls(void **state)
{
    static const struct {
        const char *addr, *ssl, *url, *socket;
    } rows[] = {
        {NULL, NULL, "http://127.0.0.1:8500", NULL},
        {"", NULL, "http://127.0.0.1:8500", NULL},
        {"10.0.0.1:8500", NULL, "http://10.0.0.1:8500", NULL},
        {"10.0.0.1:8500", "true", "https://10.0.0.1:8500", NULL},
        {"10.0.0.1:8500", "0", "http://10.0.0.1:8500", NULL},
        {"http://c:80/", NULL, "http://c:80", NULL},
        {"http://c:80", "1", "https://c:80", NULL},
        {"HTTP://c:80", "T", "https://c:80", NULL},
        {"https://c:8501/consul/", "false", "https://c:8501/consul", NULL},
        {"https://[::1]:8501", NULL, "https://[::1]:8501", NULL},
        {"unix:///run/c.sock", NULL, "http://localhost", "/run/c.sock"},
        {NULL, "true", "https://127.0.0.1:8500", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;
        DS_AUTO(consul) struct ds_consul *consul = NULL;

        clear(NULL);
        if (rows[i].addr)
            setenv("CONSUL_HTTP_ADDR", rows[i].addr, 1);
        if (rows[i].ssl)
            setenv("CONSUL_HTTP_SSL", rows[i].ssl, 1);
        consul = make("", &err);
        assert_non_null(consul);
        assert_string_equal(ds_consul_url(consul), rows[i].url);
        if (rows[i].socket)
            assert_string_equal(consul->unix_socket, rows[i].socket);
        else
            assert_null(consul->unix_socket);
    }
}

static void the_file_wins_over_the_environment(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(consul) struct ds_consul *consul = NULL;

    (void)state;
    setenv("CONSUL_HTTP_ADDR", "env:1", 1);
    setenv("CONSUL_HTTP_SSL", "true", 1);
    setenv("CONSUL_HTTP_AUTH", "env:env", 1);
    setenv("CONSUL_HTTP_TOKEN", "env", 1);
    setenv("CONSUL_HTTP_TOKEN_FILE", "/nowhere", 1);
    setenv("CONSUL_CACERT", "/env-ca", 1);
    setenv("CONSUL_CLIENT_CERT", "/env-cert", 1);
    setenv("CONSUL_CLIENT_KEY", "/env-key", 1);
    setenv("CONSUL_TLS_SERVER_NAME", "env", 1);
    consul = make("addr: 'http://file:2', username: u, password: p, token: t, "
                  "datacenter: d, ca_file: /ca, cert_file: /cert, key_file: /key, "
                  "tls_server_name: n, register_service_name: s",
                  &err);
    assert_non_null(consul);
    assert_string_equal(consul->url, "http://file:2");
    assert_string_equal(consul->username, "u");
    assert_string_equal(consul->password, "p");
    assert_string_equal(consul->token, "t");
    assert_null(consul->token_file);
    assert_string_equal(consul->datacenter, "d");
    assert_string_equal(consul->ca_file, "/ca");
    assert_string_equal(consul->cert_file, "/cert");
    assert_string_equal(consul->key_file, "/key");
    assert_string_equal(consul->tls_server_name, "n");
    assert_string_equal(ds_consul_service(consul), "s");
}

static void the_environment_fills_in(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(consul) struct ds_consul *consul = NULL;

    (void)state;
    setenv("CONSUL_HTTP_AUTH", "user:pass:word", 1);
    setenv("CONSUL_HTTP_TOKEN", "secret", 1);
    setenv("CONSUL_CACERT", "/ca", 1);
    setenv("CONSUL_CLIENT_CERT", "/cert", 1);
    setenv("CONSUL_CLIENT_KEY", "/key", 1);
    setenv("CONSUL_TLS_SERVER_NAME", "name", 1);
    setenv("CONSUL_HTTP_SSL_VERIFY", "false", 1);
    consul = make("", &err);
    assert_non_null(consul);
    assert_string_equal(consul->username, "user");
    assert_string_equal(consul->password, "pass:word");
    assert_string_equal(consul->token, "secret");
    assert_string_equal(consul->ca_file, "/ca");
    assert_string_equal(consul->cert_file, "/cert");
    assert_string_equal(consul->key_file, "/key");
    assert_string_equal(consul->tls_server_name, "name");
    assert_true(consul->tls_insecure);
    assert_string_equal(ds_consul_service(consul), "pushgateway");
}

static void empty_variables_are_none(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(consul) struct ds_consul *consul = NULL;

    (void)state;
    for (size_t i = 0; i < DS_COUNT(variables); i++)
        setenv(variables[i], "", 1);
    consul = make("", &err);
    assert_non_null(consul);
    assert_string_equal(consul->url, "http://127.0.0.1:8500");
    assert_null(consul->token);
    assert_null(consul->username);
    assert_false(consul->tls_insecure);
}

static void a_token_file_is_trimmed_and_beats_the_token(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(consul) struct ds_consul *consul = NULL;

    (void)state;
    write_token(" \t abc-def\r\n\n");
    setenv("CONSUL_HTTP_TOKEN", "other", 1);
    setenv("CONSUL_HTTP_TOKEN_FILE", token_path, 1);
    consul = make("", &err);
    assert_non_null(consul);
    assert_string_equal(consul->token, "abc-def");
    assert_false(ds_consul_refresh_token(consul));
    write_token("new\n");
    assert_true(ds_consul_refresh_token(consul));
    assert_string_equal(consul->token, "new");
    assert_false(ds_consul_refresh_token(consul));
    unlink(token_path);
    assert_false(ds_consul_refresh_token(consul));
    assert_string_equal(consul->token, "new");
}

static void a_token_in_the_file_beats_a_token_file_of_the_environment(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(consul) struct ds_consul *consul = NULL;

    (void)state;
    setenv("CONSUL_HTTP_TOKEN_FILE", "/nowhere", 1);
    consul = make("token: mine", &err);
    assert_non_null(consul);
    assert_string_equal(consul->token, "mine");
    assert_false(ds_consul_refresh_token(consul));
}

static void bad_values_are_errors(void **state)
{
    static const struct {
        const char *name, *value, *words;
    } rows[] = {
        {"CONSUL_HTTP_SSL", "yes", "CONSUL_HTTP_SSL is 'yes': true or false is expected"},
        {"CONSUL_HTTP_SSL", "tRUE", "CONSUL_HTTP_SSL"},
        {"CONSUL_HTTP_SSL_VERIFY", "yes", "CONSUL_HTTP_SSL_VERIFY is 'yes'"},
        {"CONSUL_HTTP_SSL_VERIFY", "on", "CONSUL_HTTP_SSL_VERIFY"},
        {"CONSUL_HTTP_AUTH", "user", "CONSUL_HTTP_AUTH wants user:password"},
        {"CONSUL_HTTP_ADDR", "tcp://127.0.0.1:8500", "scheme"},
        {"CONSUL_HTTP_ADDR", "http://", "host:port"},
        {"CONSUL_HTTP_ADDR", "http:///v1", "host:port"},
        {"CONSUL_HTTP_ADDR", "///", "host:port"},
        {"CONSUL_HTTP_ADDR", "a b:8500", "host:port"},
        {"CONSUL_HTTP_ADDR", "c:8500?dc=x", "host:port"},
        {"CONSUL_HTTP_TOKEN_FILE", "/nowhere/token", "'/nowhere/token'"},
        {"CONSUL_HTTP_TOKEN", "a\r\nX-Evil: 1", "CONSUL_HTTP_TOKEN"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        clear(NULL);
        setenv(rows[i].name, rows[i].value, 1);
        refused("", rows[i].words);
    }
}

static void bad_values_that_are_secret_are_not_shown(void **state)
{
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"CONSUL_HTTP_ADDR", "http://ops:hunter2@c:8500"},
        {"CONSUL_HTTP_ADDR", "tcp://ops:hunter2@c:8500"},
        {"CONSUL_HTTP_AUTH", "hunter2"},
        {"CONSUL_HTTP_TOKEN", "hunter2 hunter2"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;

        clear(NULL);
        setenv(rows[i].name, rows[i].value, 1);
        assert_null(make("", &err));
        assert_int_equal(err.code, DS_E_CONFIG);
        assert_null(strstr(err.text, "hunter2"));
    }
}

static void another_host_gets_everything_but_the_host(void **state)
{
    static const struct {
        const char *addr, *host, *url;
    } rows[] = {
        {"http://127.0.0.1:8500", "10.0.0.2", "http://10.0.0.2:8500"},
        {"https://c.example:8501/consul", "10.0.0.2", "https://10.0.0.2:8501/consul"},
        {"http://[::1]:8500", "10.0.0.2", "http://10.0.0.2:8500"},
        {"http://127.0.0.1:8500", "fd00::2", "http://[fd00::2]:8500"},
        {"https://c.example", "10.0.0.2", "https://10.0.0.2"},
        {"unix:///run/c.sock", "10.0.0.2", "http://10.0.0.2:8500"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;
        DS_AUTO(consul) struct ds_consul *consul = NULL;
        DS_AUTO(consul) struct ds_consul *other = NULL;

        setenv("CONSUL_HTTP_ADDR", rows[i].addr, 1);
        setenv("CONSUL_TLS_SERVER_NAME", "server.dc1.consul", 1);
        consul = make("token: t, username: u, password: p, ca_file: /ca, cert_file: /c, "
                      "key_file: /k, datacenter: dc9, register_service_name: svc",
                      &err);
        assert_non_null(consul);
        other = ds_consul_for_host(consul, rows[i].host);
        assert_string_equal(other->url, rows[i].url);
        assert_null(other->unix_socket);
        assert_string_equal(other->token, "t");
        assert_string_equal(other->username, "u");
        assert_string_equal(other->password, "p");
        assert_string_equal(other->ca_file, "/ca");
        assert_string_equal(other->cert_file, "/c");
        assert_string_equal(other->key_file, "/k");
        assert_string_equal(other->tls_server_name, "server.dc1.consul");
        assert_string_equal(other->datacenter, "dc9");
        assert_string_equal(other->service, "svc");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(addresses_become_urls, clear),
        cmocka_unit_test_setup(the_file_wins_over_the_environment, clear),
        cmocka_unit_test_setup(the_environment_fills_in, clear),
        cmocka_unit_test_setup(empty_variables_are_none, clear),
        cmocka_unit_test_setup(a_token_file_is_trimmed_and_beats_the_token, clear),
        cmocka_unit_test_setup(a_token_in_the_file_beats_a_token_file_of_the_environment,
                               clear),
        cmocka_unit_test_setup(bad_values_are_errors, clear),
        cmocka_unit_test_setup(bad_values_that_are_secret_are_not_shown, clear),
        cmocka_unit_test_setup(another_host_gets_everything_but_the_host, clear),
    };
    int fd = mkstemp(token_path);
    int failed;

    if (fd >= 0)
        close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(token_path);
    return failed;
}
