/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/config.h"
#include "dshard/file.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VALID   TEST_DATA_DIR "/config/valid/"
#define INVALID TEST_DATA_DIR "/config/invalid/"

static void ds_auto_glob(glob_t *found)
{
    globfree(found);
}

static void load_valid(struct ds_config *config, const char *name)
{
    DS_AUTO(str) char *path = ds_xasprintf(VALID "%s.yml", name);
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;

    if (ds_config_load(config, path, &complaints, &err) < 0)
        fail_msg("%s\n%s", err.text, complaints.data);
}

static void every_valid_file_loads(void **state)
{
    DS_AUTO(glob) glob_t found = {0};

    (void)state;
    assert_int_equal(glob(VALID "*.yml", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 20);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        DS_AUTO(config) struct ds_config config = {0};
        DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(100000);
        struct ds_error err = DS_ERROR_INIT;

        if (ds_config_load(&config, found.gl_pathv[i], &complaints, &err) < 0)
            fail_msg("%s\n%s", err.text, complaints.data);
        assert_string_equal(complaints.data, "");
        assert_string_equal(config.path, found.gl_pathv[i]);
        assert_true(config.pushgateway.n_servers >= 1);
    }
}

/* The expected complaints, with the file's path where they say FILE. */
static void read_expected(const char *path, struct ds_buf *out)
{
    DS_AUTO(str) char *err_path = ds_xasprintf("%.*s.err", (int)strlen(path) - 4, path);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&text, err_path, &err), &err);
    for (const char *line = text.data; *line;) {
        const char *end = strchr(line, '\n');

        assert_non_null(end);
        assert_memory_equal(line, "FILE:", 5);
        ds_buf_adds(out, path);
        ds_buf_add(out, line + 4, (size_t)(end - line) - 3);
        line = end + 1;
    }
}

static void assert_refused(const char *path)
{
    static const struct ds_config fresh;
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(100000);
    DS_AUTO(buf) struct ds_buf expected = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;
    size_t lines = 0;
    char count[32];

    read_expected(path, &expected);
    if (ds_config_load(&config, path, &complaints, &err) == 0)
        fail_msg("'%s' is accepted", path);
    if (strcmp(complaints.data, expected.data) != 0)
        fail_msg("'%s' is expected to say:\n%sand says:\n%s", path, expected.data,
                 complaints.data);
    for (const char *c = complaints.data; *c; c++)
        lines += *c == '\n';
    assert_int_equal(err.code, DS_E_CONFIG);
    snprintf(count, sizeof count, "%zu error%s in '", lines, lines == 1 ? "" : "s");
    if (lines < 100 && strncmp(err.text, count, strlen(count)) != 0)
        fail_msg("'%s' has %zu lines: %s", path, lines, err.text);
    assert_memory_equal(&config, &fresh, sizeof fresh);
}

static void every_invalid_file_is_refused_in_exactly_these_words(void **state)
{
    DS_AUTO(glob) glob_t found = {0};

    (void)state;
    assert_int_equal(glob(INVALID "*.yml", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 60);
    for (size_t i = 0; i < found.gl_pathc; i++)
        assert_refused(found.gl_pathv[i]);
}

/* In the files a secret is always spelled so. */
static void no_complaint_repeats_a_secret(void **state)
{
    DS_AUTO(glob) glob_t found = {0};

    (void)state;
    assert_int_equal(glob(INVALID "*.err", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);
        struct ds_error err = DS_ERROR_INIT;

        assert_ok(ds_file_read(&text, found.gl_pathv[i], &err), &err);
        if (strstr(text.data, "hunter2"))
            fail_msg("'%s' shows a secret", found.gl_pathv[i]);
    }
}

static void at_most_100_complaints_are_shown_and_all_are_counted(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};
    DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_int_equal(
        ds_config_load(&config, INVALID "more-than-a-hundred.yml", &complaints, &err),
        -1);
    assert_string_equal(err.text,
                        "120 errors in '" INVALID "more-than-a-hundred.yml', of "
                        "which 100 are shown");
}

static void the_file_of_dynamic_sharding_means_what_it_meant(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};

    (void)state;
    load_valid(&config, "dynamic-sharding");
    assert_true(config.consul);
    assert_string_equal(config.consul_server.addr, "http://localhost:8500");
    assert_null(config.consul_server.username);
    assert_null(config.consul_server.password);
    assert_string_equal(config.consul_server.service, "pgw");
    assert_string_equal(config.http_listen_addr, ":9292");
    assert_int_equal(config.pushgateway.port, 9091);
    assert_int_equal(config.pushgateway.n_servers, 3);
    assert_string_equal(config.pushgateway.servers[0].address, "192.0.2.11:9091");
    assert_string_equal(config.pushgateway.servers[2].address, "pgw3.example.org:9091");
    assert_int_equal(config.health_check.interval_ms, 5000);
    assert_int_equal(config.health_check.timeout_ms, 2000);
    assert_int_equal(config.ring.replicas, 500);
}

static void what_is_left_out_has_its_default(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};

    (void)state;
    load_valid(&config, "smallest");
    assert_false(config.consul);
    assert_null(config.consul_server.addr);
    assert_null(config.http_listen_addr);
    assert_string_equal(config.pushgateway.scheme, "http");
    assert_int_equal(config.pushgateway.port, 9091);
    assert_string_equal(config.pushgateway.route_prefix, "");
    assert_null(config.pushgateway.username);
    assert_null(config.pushgateway.password_file);
    assert_string_equal(config.pushgateway.servers[0].address, "10.0.0.1:9091");
    assert_int_equal(config.pushgateway.servers[0].weight, 1);
    assert_string_equal(config.health_check.path, "/-/healthy");
    assert_int_equal(config.health_check.interval_ms, 1000);
    assert_int_equal(config.health_check.timeout_ms, 1000);
    assert_int_equal(config.health_check.rise, 2);
    assert_int_equal(config.health_check.fall, 2);
    assert_int_equal(config.health_check.deregister_after_ms, 0);
    assert_int_equal(config.ring.replicas, 500);
    assert_int_equal(config.ring.min_healthy, 1);
    assert_false(config.ring.min_healthy_is_percent);
    assert_int_equal(config.ring.shrink_hold_ms, 10000);
    assert_int_equal(config.ring.rejoin_after_ms, 10000);
    assert_int_equal(config.watch.groups, DS_GROUPS_MOVE);
    assert_int_equal(config.watch.patience_ms, 60000);
    assert_string_equal(config.state_file, "/var/lib/dshard/ring.json");
}

static void the_keys_of_consul_are_read(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};

    (void)state;
    load_valid(&config, "every-key-consul");
    assert_true(config.consul);
    assert_string_equal(config.consul_server.addr,
                        "https://consul.example.org:8501/prefix");
    assert_string_equal(config.consul_server.username, "ops");
    assert_string_equal(config.consul_server.password, "p: {a}#ss");
    assert_string_equal(config.consul_server.token, "12345");
    assert_null(config.consul_server.token_file);
    assert_string_equal(config.consul_server.datacenter, "no");
    assert_string_equal(config.consul_server.ca_file, "/etc/dshard/ca.pem");
    assert_string_equal(config.consul_server.cert_file, "/etc/dshard/cert.pem");
    assert_string_equal(config.consul_server.key_file, "/etc/dshard/key.pem");
    assert_string_equal(config.consul_server.tls_server_name, "server.dc1.consul");
    assert_string_equal(config.consul_server.service, "pushgateway-batch");
    assert_int_equal(config.consul_server.n_tags, 4);
    assert_string_equal(config.consul_server.tags[0], "batch");
    assert_string_equal(config.consul_server.tags[2], "tag with spaces");
    assert_string_equal(config.consul_server.tags[3], "7");
    assert_int_equal(config.consul_server.wait_ms, 90000);
}

static void the_other_keys_are_read(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};

    (void)state;
    load_valid(&config, "every-key-consul");
    assert_string_equal(config.pushgateway.scheme, "https");
    assert_int_equal(config.pushgateway.port, 443);
    assert_string_equal(config.pushgateway.route_prefix, "/pgw");
    assert_string_equal(config.pushgateway.username, "push");
    assert_string_equal(config.pushgateway.password_file, "secrets/password");
    assert_int_equal(config.pushgateway.n_servers, 4);
    assert_string_equal(config.pushgateway.servers[1].address, "10.0.0.2:9092");
    assert_string_equal(config.pushgateway.servers[2].address, "[2001:db8::1]:443");
    assert_int_equal(config.pushgateway.servers[2].weight, 100);
    assert_string_equal(config.pushgateway.servers[3].address, "pgw4.Example.org:443");
    assert_int_equal(config.pushgateway.servers[3].weight, 3);
    assert_string_equal(config.health_check.path, "/-/ready?verbose=1");
    assert_int_equal(config.health_check.interval_ms, 50);
    assert_int_equal(config.health_check.timeout_ms, 10);
    assert_int_equal(config.health_check.rise, 1);
    assert_int_equal(config.health_check.fall, 100);
    assert_int_equal(config.health_check.deregister_after_ms, 259200000);
    assert_int_equal(config.ring.replicas, 10);
    assert_int_equal(config.ring.min_healthy, 50);
    assert_true(config.ring.min_healthy_is_percent);
    assert_int_equal(config.ring.shrink_hold_ms, 0);
    assert_int_equal(config.ring.rejoin_after_ms, 0);
    assert_int_equal(config.watch.groups, DS_GROUPS_DEDUPE);
    assert_int_equal(config.watch.patience_ms, 86400000);
    assert_string_equal(config.state_file, "ring.json");
}

static void an_empty_consul_server_is_consul(void **state)
{
    DS_AUTO(config) struct ds_config config = {0};

    (void)state;
    load_valid(&config, "consul-empty-map");
    assert_true(config.consul);
    assert_null(config.consul_server.addr);
    assert_string_equal(config.consul_server.service, "pushgateway");
    assert_int_equal(config.consul_server.wait_ms, 30000);
}

static void a_file_that_cannot_be_read_is_a_configuration_error(void **state)
{
    static const char *const paths[] = {"/nowhere/dshard.yml", "/dev/zero", "tests"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        DS_AUTO(config) struct ds_config config = {0};
        DS_AUTO(buf) struct ds_buf complaints = DS_BUF_INIT(1000);
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(ds_config_load(&config, paths[i], &complaints, &err), -1);
        assert_int_equal(err.code, DS_E_CONFIG);
        assert_non_null(strstr(err.text, paths[i]));
        assert_string_equal(complaints.data, "");
        assert_null(config.path);
    }
}

static void the_option_beats_the_environment_and_that_the_places(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(str) char *option = NULL;
    DS_AUTO(str) char *from_env = NULL;

    (void)state;
    setenv("DSHARD_CONFIG", "/from/env.yml", 1);
    option = ds_config_find("/from/option.yml", &err);
    from_env = ds_config_find(NULL, &err);
    unsetenv("DSHARD_CONFIG");
    assert_string_equal(option, "/from/option.yml");
    assert_string_equal(from_env, "/from/env.yml");
}

static void the_working_directory_comes_before_etc(void **state)
{
    char dir[] = "/tmp/dshard-test-XXXXXX";
    DS_AUTO(str) char *here = getcwd(NULL, 0);
    DS_AUTO(str) char *none = NULL;
    DS_AUTO(str) char *found = NULL;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    unsetenv("DSHARD_CONFIG");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    none = ds_config_find(NULL, &err);
    assert_int_equal(symlink("/dev/null", "dshard.yml"), 0);
    found = ds_config_find(NULL, &err);
    unlink("dshard.yml");
    assert_int_equal(chdir(here), 0);
    rmdir(dir);
    if (none) {
        assert_string_equal(none, "/etc/dshard/dshard.yml"); /* it is installed here */
    } else {
        assert_int_equal(err.code, DS_E_CONFIG);
        assert_non_null(strstr(err.text, "--config"));
        assert_non_null(strstr(err.text, "$DSHARD_CONFIG"));
        assert_non_null(strstr(err.text, "'./dshard.yml'"));
        assert_non_null(strstr(err.text, "'/etc/dshard/dshard.yml'"));
    }
    assert_string_equal(found, "./dshard.yml");
}

static void a_percentage_is_rounded_up(void **state)
{
    static const struct {
        unsigned percent;
        size_t n, want;
    } rows[] = {{50, 4, 2}, {50, 5, 3}, {1, 3, 1}, {100, 7, 7}, {34, 3, 2}, {33, 3, 1}};
    struct ds_config config = {0};

    (void)state;
    config.ring.min_healthy = 3;
    assert_int_equal(ds_config_min_healthy(&config, 10), 3);
    config.ring.min_healthy_is_percent = true;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        config.ring.min_healthy = rows[i].percent;
        assert_int_equal(ds_config_min_healthy(&config, rows[i].n), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_valid_file_loads),
        cmocka_unit_test(every_invalid_file_is_refused_in_exactly_these_words),
        cmocka_unit_test(no_complaint_repeats_a_secret),
        cmocka_unit_test(at_most_100_complaints_are_shown_and_all_are_counted),
        cmocka_unit_test(the_file_of_dynamic_sharding_means_what_it_meant),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(the_keys_of_consul_are_read),
        cmocka_unit_test(the_other_keys_are_read),
        cmocka_unit_test(an_empty_consul_server_is_consul),
        cmocka_unit_test(a_file_that_cannot_be_read_is_a_configuration_error),
        cmocka_unit_test(the_option_beats_the_environment_and_that_the_places),
        cmocka_unit_test(the_working_directory_comes_before_etc),
        cmocka_unit_test(a_percentage_is_rounded_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
